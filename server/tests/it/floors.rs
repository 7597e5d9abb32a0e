//! The floors of the server: which modules may depend on which, without cycles, even indirect ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The lowest first: each depends only on lower floors. `server/README.md` has the same table.
const FLOORS: [&[&str]; 8] = [
    &["domain", "open_files", "readiness", "secrets"],
    &["config"],
    &["store", "telemetry"],
    &["alerting", "auth", "backup", "http", "ingest", "notify"],
    &["api"],
    &["routes"],
    &["app", "healthcheck", "preflight"],
    &[
        "allocator",
        "backup_command",
        "config_command",
        "grafana_role_command",
        "lib",
        "main",
        "migrate_command",
        "restore_command",
        "secret_key_command",
        "user_command",
    ],
];

/// A module's path, outermost name first.
type Module = Vec<String>;

/// What a module's source refers to, and what it re-exports.
#[derive(Default)]
struct Source {
    paths: BTreeSet<Module>,
    exports: BTreeMap<String, Module>,
}

#[test]
fn every_module_depends_only_on_lower_floors() {
    let known = graph();
    let floor = |module: &Module| FLOORS.iter().position(|floor| floor.contains(&module[0].as_str()));
    let mut wrong = BTreeSet::new();
    for (module, others) in &known {
        assert!(floor(module).is_some(), "{} has no floor", module.join("::"));
        let upward = others.iter().filter(|other| other[0] != module[0] && floor(module) <= floor(other));
        wrong.extend(upward.map(|other| format!("{} -> {}", module.join("::"), other.join("::"))));
    }
    assert!(wrong.is_empty(), "not below: {wrong:#?}");
}

#[test]
fn modules_have_no_cycles() {
    let known = graph();
    let mut circles = BTreeSet::new();
    for (module, others) in &known {
        let closing = others.iter().filter(|other| reachable(&known, other).contains(module));
        circles.extend(closing.map(|other| format!("{} -> {}", module.join("::"), other.join("::"))));
    }
    assert!(circles.is_empty(), "in circles: {circles:#?}");
}

/// Returns everything a module depends on, directly or indirectly.
fn reachable<'a>(known: &'a BTreeMap<Module, BTreeSet<Module>>, from: &'a Module) -> BTreeSet<&'a Module> {
    let (mut found, mut rest) = (BTreeSet::new(), vec![from]);
    while let Some(module) = rest.pop() {
        rest.extend(known[module].iter().filter(|other| found.insert(*other)));
    }
    found
}

/// Returns which modules refer to which others, themselves aside.
fn graph() -> BTreeMap<Module, BTreeSet<Module>> {
    let mut sources = BTreeMap::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut Vec::new(), &mut sources);
    let known = |(module, source): (&Module, &Source)| {
        let others = source.paths.iter().filter_map(|path| resolve(&sources, module, path));
        (module.clone(), others.filter(|other| other != module).collect())
    };
    sources.iter().map(known).collect()
}

/// Returns the module that defines `path` as seen from `module`; `None` if it is outside the server.
fn resolve(sources: &BTreeMap<Module, Source>, module: &Module, path: &[String]) -> Option<Module> {
    let child = |at: &Module, name: &String| [at.as_slice(), std::slice::from_ref(name)].concat();
    let ups = path.iter().take_while(|name| *name == "super").count();
    let (mut at, rest) = match path[0].as_str() {
        "crate" | "pika_server" => (Vec::new(), &path[1..]),
        "self" => (module.clone(), &path[1..]),
        "super" => (module[..module.len() - ups].to_vec(), &path[ups..]),
        name if sources.contains_key(&child(module, &name.to_owned())) => (module.clone(), path),
        _ => return None,
    };
    for (index, name) in rest.iter().enumerate() {
        if sources.contains_key(&child(&at, name)) {
            at.push(name.clone());
        } else if let Some(export) = sources.get(&at).and_then(|source| source.exports.get(name)) {
            return resolve(sources, &at, &[export, &rest[index + 1..]].concat()).or(Some(at));
        } else {
            break;
        }
    }
    (!at.is_empty()).then_some(at)
}

fn read(folder: &Path, module: &mut Module, sources: &mut BTreeMap<Module, Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        module.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        if path.is_dir() {
            read(&path, module, sources);
        } else if module.last().unwrap() != "tests" {
            sources.insert(module.clone(), source(&std::fs::read_to_string(&path).unwrap()));
        }
        module.pop();
    }
}

/// Reads what a file refers to, without its tests and comments.
fn source(text: &str) -> Source {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let mut source = Source::default();
    while let Some(line) = lines.next() {
        let Some((visibility, tree)) = line.split_once("use ").filter(|(before, _)| is_visibility(before))
        else {
            let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let paths = line.split(|c| !is_of_path(c)).filter(|path| path.contains("::"));
            source.paths.extend(paths.map(|path| names(path.trim_matches(':'))));
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.ends_with(';') {
            tree.push_str(lines.next().unwrap());
        }
        for path in leaves(tree.trim_end_matches(';')) {
            // Private imports are visible to inner modules, too.
            source.exports.insert(path.last().unwrap().clone(), path.clone());
            if visibility.is_empty() || ["crate", "super"].contains(&path[0].as_str()) {
                source.paths.insert(path);
            }
        }
    }
    source
}

/// Returns whether this may precede `use`.
fn is_visibility(text: &str) -> bool {
    text.is_empty() || (text.starts_with("pub") && text.ends_with(' ') && !text.trim().contains(' '))
}

fn names(path: &str) -> Module {
    path.split("::").map(|name| name.trim().to_owned()).collect()
}

/// Expands the paths of a `use` with braces.
fn leaves(tree: &str) -> Vec<Module> {
    let Some((stem, inner)) = tree.split_once("::{").or_else(|| tree.split_once('{')) else {
        return vec![names(tree.split(" as ").next().unwrap())];
    };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in inner.strip_suffix('}').unwrap().chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).flat_map(leaves);
    parts.map(|part| [names(stem), part].concat()).collect()
}
