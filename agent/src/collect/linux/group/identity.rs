//! What a control group is, by its path: which engine made it, and for what.

/// Length of the id of a container, in characters.
const ID_CHARS: usize = 64;

/// Length of an id that is shown to people, in characters.
const SHORT_ID_CHARS: usize = 12;

/// How engines name the groups of their containers: a prefix, the id, and with systemd the suffix `.scope`.
const PREFIXES: [&str; 7] =
    ["", "docker-", "libpod-", "libpod-payload-", "cri-containerd-", "crio-", "nerdctl-"];

/// What a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Container,
    Vm,
    Unit,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Container => "container",
            Kind::Vm => "vm",
            Kind::Unit => "unit",
        }
    }
}

/// Who a group is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) kind: Kind,
    /// The name, or the short id of a container that has none here.
    pub(super) name: String,
    /// The whole id of the container, if it has one.
    pub(super) id: Option<String>,
}

impl Identity {
    fn named(kind: Kind, name: impl Into<String>) -> Identity {
        Identity { kind, name: name.into(), id: None }
    }

    /// Returns the id in the length that is shown to people; empty if there is none.
    pub(super) fn short_id(&self) -> &str {
        self.id.as_deref().map_or("", |id| id.get(..SHORT_ID_CHARS).unwrap_or(id))
    }
}

/// Identifies a group that is a container or a virtual machine, by the last two names of its path.
pub(super) fn identify(parent: &str, entry: &str) -> Option<Identity> {
    let name = entry.strip_suffix(".scope").unwrap_or(entry);
    if let Some(id) = container_id(name) {
        let identity = Identity { kind: Kind::Container, name: String::new(), id: Some(id.to_owned()) };
        return Some(Identity { name: identity.short_id().to_owned(), ..identity });
    }
    let named = |kind, name: &str| (!name.is_empty()).then(|| Identity::named(kind, unescape(name)));
    if let Some(name) = name.strip_prefix("lxc.payload.") {
        return named(Kind::Container, name);
    }
    if let Some(name) = entry.strip_prefix("systemd-nspawn@") {
        return named(Kind::Container, name.strip_suffix(".service")?);
    }
    if let Some(name) = name.strip_prefix("machine-qemu") {
        // `machine-qemu\x2d1\x2dweb.scope`: a number, and the name.
        let name = unescape(name);
        let (_, name) = name.strip_prefix('-')?.split_once('-')?;
        return named(Kind::Vm, name);
    }
    match parent {
        // Besides the containers there are the groups of what watches them.
        "lxc" if !entry.contains('.') => named(Kind::Container, entry),
        "qemu.slice" if entry.ends_with(".scope") => named(Kind::Vm, name),
        _ => None,
    }
}

/// Returns the id in the name of a group.
fn container_id(name: &str) -> Option<&str> {
    let is_id =
        |id: &str| id.len() == ID_CHARS && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let with_prefix = PREFIXES.iter().filter_map(|prefix| name.strip_prefix(prefix)).find(|id| is_id(id));
    // `kubepods-burstable-pod….slice:cri-containerd:<id>`, where the drivers of two programs differ.
    with_prefix.or_else(|| name.rsplit_once(':').map(|(_, id)| id).filter(|id| is_id(id)))
}

/// Identifies a group of a unit of systemd, or of all sessions of a user.
pub(super) fn unit(entry: &str) -> Option<Identity> {
    let is_user = || {
        let number = entry.strip_prefix("user-").and_then(|rest| rest.strip_suffix(".slice"));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    (entry.ends_with(".service") || is_user()).then(|| Identity::named(Kind::Unit, unescape(entry)))
}

/// Undoes systemd's `\x2d` for a hyphen, and so on.
fn unescape(text: &str) -> String {
    let mut parts = text.split("\\x");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (code, part.get(2..)) {
            (Some(code), Some(rest)) if code.is_ascii_graphic() => {
                plain.push(char::from(code));
                plain.push_str(rest);
            }
            _ => {
                plain.push_str("\\x");
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_is_known_by_its_paths() {
        let id = "0123456789abcdef".repeat(4);
        for (parent, entry) in [
            ("system.slice", "docker-ID.scope"),
            ("docker", "ID"),
            ("machine.slice", "libpod-ID.scope"),
            ("user.slice", "libpod-ID.scope"),
            ("web.service", "libpod-payload-ID"),
            ("libpod_parent", "libpod-ID"),
            ("kubepods-burstable-pod1.slice", "cri-containerd-ID.scope"),
            ("kubepods-besteffort-pod1.slice", "crio-ID.scope"),
            ("pod9b1d", "ID"),
            ("system.slice", "kubepods-burstable-pod1.slice:cri-containerd:ID"),
            ("system.slice", "nerdctl-ID.scope"),
        ] {
            let found = identify(parent, &entry.replace("ID", &id)).unwrap();
            assert_eq!((found.kind, found.name.as_str()), (Kind::Container, "0123456789ab"), "{entry}");
            assert_eq!(found.id.as_ref(), Some(&id));
        }
        for (parent, entry, kind, name) in [
            ("", "lxc.payload.web", Kind::Container, "web"),
            ("lxc", "101", Kind::Container, "101"),
            ("machine.slice", "systemd-nspawn@deb\\x2d12.service", Kind::Container, "deb-12"),
            ("machine.slice", "machine-qemu\\x2d7\\x2dmy\\x2dvm.scope", Kind::Vm, "my-vm"),
            ("qemu.slice", "100.scope", Kind::Vm, "100"),
        ] {
            assert_eq!(identify(parent, entry), Some(Identity::named(kind, name)), "{entry}");
        }
    }

    #[test]
    fn what_watches_a_container_is_none() {
        let id = "0123456789abcdef".repeat(4);
        for (parent, entry) in [
            ("machine.slice", format!("libpod-conmon-{id}.scope")),
            ("system.slice", format!("crio-conmon-{id}.scope")),
            ("system.slice", format!("docker-{}.scope", &id[1..])),
            ("system.slice", format!("docker-{}.scope", id.to_uppercase())),
            ("system.slice", "docker.service".to_owned()),
            ("", "lxc.monitor.web".to_owned()),
            ("", "lxc.payload.".to_owned()),
            ("lxc", "lxc.monitor".to_owned()),
            ("machine.slice", "machine-qemu.scope".to_owned()),
            ("machine.slice", "machine-qemu\\x2d1.scope".to_owned()),
            ("", "init.scope".to_owned()),
        ] {
            assert_eq!(identify(parent, &entry), None, "{entry}");
        }
    }

    #[test]
    fn units_and_users() {
        assert_eq!(unit("a\\x2db.service"), Some(Identity::named(Kind::Unit, "a-b.service")));
        assert_eq!(unit("user-1000.slice").unwrap().name, "user-1000.slice");
        for entry in ["user-x.slice", "system.slice", "session-1.scope", "tmp.mount"] {
            assert_eq!(unit(entry), None, "{entry}");
        }
        assert_eq!(unescape("a\\x2"), "a\\x2");
        assert_eq!(unescape("a\\x00b"), "a\\x00b", "no control characters");
    }
}
