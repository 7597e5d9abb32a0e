//! Where the kernel's and the system's files are.

use std::path::PathBuf;

/// Roots of the files that collectors read, which tests replace. Ignored on platforms without such files.
#[derive(Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has them"))]
pub(super) struct Roots {
    /// `/proc`
    pub(super) proc: PathBuf,
    /// `/sys`
    pub(super) sys: PathBuf,
    /// `/run`
    pub(super) run: PathBuf,
    /// `/etc`
    pub(super) etc: PathBuf,
    /// `/lib/modules`
    pub(super) modules: PathBuf,
}

impl Roots {
    /// The roots below a directory that stands for `/`.
    pub(super) fn below(root: impl Into<PathBuf>) -> Roots {
        let root = root.into();
        Roots {
            proc: root.join("proc"),
            sys: root.join("sys"),
            run: root.join("run"),
            etc: root.join("etc"),
            modules: root.join("lib/modules"),
        }
    }
}

impl Default for Roots {
    fn default() -> Roots {
        Roots::below("/")
    }
}
