//! What the machine runs in, from what its firmware, its processor and its first process say.

use std::fs;
use std::path::Path;

/// Makers of virtual machines, as the firmware names them.
const HYPERVISORS: [(&str, &str); 11] = [
    ("KVM", "kvm"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VirtualBox", "virtualbox"),
    ("innotek", "virtualbox"),
    ("Xen", "xen"),
    ("Virtual Machine", "hyperv"),
    ("Parallels", "parallels"),
    ("Amazon EC2", "amazon"),
    ("Google Compute Engine", "google"),
    ("OpenStack", "openstack"),
];

/// A container, else a virtual machine; `None` on what looks like hardware. `root` is `/`; tests look elsewhere.
pub(in crate::collect) fn virtualization(root: &Path) -> Option<&'static str> {
    if root.join(".dockerenv").exists() {
        return Some("docker");
    }
    if root.join("run/.containerenv").exists() {
        return Some("podman");
    }
    let dmi = root.join("sys/class/dmi/id");
    let said: Vec<String> = ["product_name", "sys_vendor", "bios_vendor"]
        .iter()
        .filter_map(|name| fs::read_to_string(dmi.join(name)).ok())
        .collect();
    let named = HYPERVISORS.iter().find(|(maker, _)| said.iter().any(|text| text.contains(maker)));
    if let Some((_, name)) = named {
        return Some(name);
    }
    let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).ok()?;
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"))?;
    flags.split_ascii_whitespace().any(|flag| flag == "hypervisor").then_some("vm")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Option<&'static str> {
        let root = tempfile::tempdir().unwrap();
        for (name, contents) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        virtualization(root.path())
    }

    #[test]
    fn what_a_machine_runs_in_is_told_apart() {
        let vendor = "sys/class/dmi/id/sys_vendor";
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[(vendor, "Dell Inc.\n"), ("proc/cpuinfo", "flags\t: fpu vme\n")]), None);
        assert_eq!(found(&[(vendor, "VMware, Inc.\n")]), Some("vmware"));
        assert_eq!(found(&[("sys/class/dmi/id/product_name", "Virtual Machine\n")]), Some("hyperv"));
        assert_eq!(found(&[(vendor, "Nobody\n"), ("proc/cpuinfo", "flags\t: fpu hypervisor\n")]), Some("vm"));
        assert_eq!(found(&[(vendor, "QEMU\n"), (".dockerenv", "")]), Some("docker"));
    }
}
