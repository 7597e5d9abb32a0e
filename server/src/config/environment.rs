//! Environment variables: which key each sets, and unknown ones.

use serde_json::Value;

use super::error::{ConfigError, UnknownVariable};
use super::nearest::nearest;
use super::yaml::keys;

/// The prefix of Pika's own environment variables.
const PREFIX: &str = "PIKA_";
/// The variable of the administrator's initial password, and the shorter name used in all guides.
const ADMIN_PASSWORD: [&str; 2] = ["PIKA_AUTH_ADMIN_PASSWORD", "PIKA_ADMIN_PASSWORD"];
/// The variable with the path of the configuration file.
const CONFIG: &str = "PIKA_CONFIG";
/// Suffix of variables whose value is in a file.
const FILE_SUFFIX: &str = "_FILE";

/// Variables read by other parts of Pika: the scripts, the compose file, the agent, the tests and the benchmarks.
const COMPANION_VARIABLES: [&str; 14] = [
    "PIKA_BIN_DIR",
    "PIKA_CHROMIUM",
    "PIKA_DATABASE_PASSWORD",
    "PIKA_DATABASE_PORT",
    "PIKA_DEV_SERVER",
    "PIKA_ENROLLMENT_TOKEN",
    "PIKA_PASSWORD",
    "PIKA_PICTURES",
    "PIKA_PORT",
    "PIKA_POSTGRES_ROOT",
    "PIKA_STATE_DIR",
    "PIKA_URL",
    "PIKA_USERNAME",
    "PIKA_USER_ID",
];
const COMPANION_PREFIXES: [&str; 6] =
    ["PIKA_AGENT_", "PIKA_BACKUP_", "PIKA_BENCH_", "PIKA_E2E_", "PIKA_GRAFANA_", "PIKA_TEST_"];

/// Maximum edit distance of a mistyped variable from a known one.
const TYPO_DISTANCE_MAX: usize = 2;

/// Returns the variables that begin like Pika's but belong neither to this server nor to its companions. Mistyped keys
/// are not among them, since [`Config::load`](super::Config::load) refuses those.
pub fn unknown_variables(environment: &[(String, String)]) -> Vec<UnknownVariable> {
    // Without readable defaults there is no configuration at all.
    let known = known_names(&keys().unwrap_or_default());
    let unknown = environment.iter().filter(|(name, value)| is_unknown(name, value, &known));
    let nearest = |name: &str| nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
    unknown.map(|(name, _)| UnknownVariable { name: name.clone(), nearest: nearest(name) }).collect()
}

/// Merges the variables into `merged`. Returns the keys that were set, with their variables.
pub(super) fn apply(
    merged: &mut Value,
    leaves: &[Vec<String>],
    environment: &[(String, String)],
) -> Result<Vec<(String, String)>, ConfigError> {
    refuse_typos(leaves, environment)?;
    let mut set = Vec::new();
    let variable =
        |name: &str| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if let Some(url) = variable("DATABASE_URL")
        && let Some(leaf) = merged.pointer_mut("/database/url")
    {
        *leaf = Value::from(url);
        set.push(("database.url".to_owned(), "DATABASE_URL".to_owned()));
    }
    for path in leaves {
        let mut name = variable_name(path);
        let file_of = |name: &str| format!("{name}{FILE_SUFFIX}");
        let is_given = |name: &str| variable(name).is_some() || variable(&file_of(name)).is_some();
        if name == ADMIN_PASSWORD[0] && !is_given(&name) {
            ADMIN_PASSWORD[1].clone_into(&mut name);
        }
        let text = match (variable(&name), variable(&file_of(&name))) {
            (Some(text), _) => text.to_owned(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::VariableFile { name: file_of(&name), source })?
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
            (None, None) => continue,
        };
        if let Some(leaf) = merged.pointer_mut(&format!("/{}", path.join("/"))) {
            match typed(&text, leaf) {
                Ok(value) => *leaf = value,
                Err(expected) => return Err(ConfigError::Variable { name, expected }),
            }
            set.push((path.join("."), name));
        }
    }
    Ok(set)
}

/// Parses a variable as the type of its key's default, so that a password of digits stays a text.
fn typed(text: &str, like: &Value) -> Result<Value, &'static str> {
    match like {
        Value::Number(_) => text.trim().parse::<i64>().map(Value::from).map_err(|_| "a whole number"),
        Value::Bool(_) => text.trim().parse::<bool>().map(Value::from).map_err(|_| "true or false"),
        Value::Array(_) => Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()),
        _ => Ok(Value::from(text)),
    }
}

/// Returns `PIKA_DATABASE_POSTGRES_PASSWORD` for `database.postgres.password`.
fn variable_name(path: &[String]) -> String {
    format!("{PREFIX}{}", path.join("_").to_uppercase())
}

fn known_names(leaves: &[Vec<String>]) -> Vec<String> {
    let of_keys = leaves.iter().map(|path| variable_name(path)).chain([ADMIN_PASSWORD[1].to_owned()]);
    let with_files = of_keys.flat_map(|name| [format!("{name}{FILE_SUFFIX}"), name]);
    with_files.chain([CONFIG.to_owned()]).collect()
}

/// Refuses mistyped variables, because ignoring a setting could weaken security.
fn refuse_typos(leaves: &[Vec<String>], environment: &[(String, String)]) -> Result<(), ConfigError> {
    let known = known_names(leaves);
    for (name, _) in environment.iter().filter(|(name, value)| is_unknown(name, value, &known)) {
        let slips = |known: &String| strsim::osa_distance(&name.to_uppercase(), known);
        if let Some(meant) =
            known.iter().min_by_key(|known| slips(known)).filter(|meant| slips(meant) <= TYPO_DISTANCE_MAX)
        {
            let unknown = UnknownVariable { name: name.clone(), nearest: Some(meant.clone()) };
            return Err(ConfigError::UnknownVariable(unknown));
        }
    }
    Ok(())
}

fn is_unknown(name: &str, value: &str, known: &[String]) -> bool {
    let is_of_others = || {
        COMPANION_VARIABLES.contains(&name)
            || COMPANION_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    name.to_uppercase().starts_with(PREFIX)
        && !known.iter().any(|known| known == name)
        && !is_of_others()
        && !is_set_by_kubernetes(name, value)
}

/// Returns whether Kubernetes has set the variable: every container gets variables for services, for `pika-server` for
/// example `PIKA_SERVER_SERVICE_HOST`, `PIKA_SERVER_PORT` and `PIKA_SERVER_PORT_80_TCP_ADDR`.
fn is_set_by_kubernetes(name: &str, value: &str) -> bool {
    let is_url = || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_of_port = || {
        let protocols = ["TCP", "UDP", "SCTP"];
        let mut after = name.split("_PORT_").skip(1).filter_map(|rest| rest.split_once('_'));
        after.any(|(port, rest)| port.parse::<u16>().is_ok() && protocols.iter().any(|p| rest.starts_with(p)))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || is_of_port()
        || name.ends_with("_PORT") && is_url()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(name: &str, value: &str) -> Option<Option<String>> {
        let environment = [(name.to_owned(), value.to_owned())];
        unknown_variables(&environment).pop().map(|unknown| unknown.nearest)
    }

    #[test]
    fn a_variable_that_is_no_key_is_told_with_the_nearest_one() {
        let nearest = |name: &str| unknown(name, "1").unwrap_or_else(|| panic!("{name} is known"));
        assert_eq!(nearest("PIKA_DATABASE_HOSTNAME").unwrap(), "PIKA_DATABASE_POSTGRES_HOSTNAME");
        assert_eq!(nearest("PIKA_SERVER_TRUSTED_PROXY").unwrap(), "PIKA_SERVER_TRUSTED_PROXIES");
        assert_eq!(nearest("PIKA_TRUSTED_PROXIES").unwrap(), "PIKA_SERVER_TRUSTED_PROXIES");
        assert_eq!(nearest("pika_server_addr").unwrap(), "PIKA_SERVER_ADDR");
        assert_eq!(nearest("PIKA_XYZZY"), None);
    }

    #[test]
    fn what_is_known_or_somebody_elses_is_not_told() {
        for (name, value) in [
            ("PIKA_SERVER_ADDR", ""),
            ("PIKA_ADMIN_PASSWORD_FILE", ""),
            ("PIKA_DATABASE_POSTGRES_PASSWORD_FILE", ""),
            ("PIKA_CONFIG", ""),
            ("PIKA_STATE_DIR", ""),
            ("PIKA_AGENT_NAME", ""),
            ("PIKA_SERVER_SERVICE_HOST", "10.0.0.1"),
            ("PIKA_SERVER_SERVICE_PORT_HTTP", "80"),
            ("PIKA_SERVER_PORT", "tcp://10.0.0.1:80"),
            ("PIKA_SERVER_PORT_80_TCP_PROTO", "tcp"),
            ("PATH", ""),
        ] {
            assert_eq!(unknown(name, value), None, "{name}");
        }
        assert!(unknown("PIKA_SERVER_PORT", "8080").is_some());
    }
}
