//! Makes the C library give memory back to the system.
//!
//! What was freed, glibc keeps for later: blocks of up to 32 MiB in one arena for each thread, for good. After a flood of
//! requests, or an hour without the database, the process would stay as large as it ever was. With fixed thresholds large
//! blocks are the system's again when they are freed. They can be had through the environment of a process that starts,
//! and otherwise only through functions that are not safe to call.
//!
//! Resident 30 s after 400 unfinished bodies of 1 MiB, of 34 MB at rest: 259 MB with glibc as it is, 52 to 66 MB with such
//! settings, 578 MB with mimalloc (77 when told to purge at once), 41 MB with jemalloc and its background threads, which is
//! not worth another allocator.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What glibc is told. Other C libraries take no notice.
const SETTINGS: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "4"), ("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")];

/// Starts this program once more in its own place, with the settings. Returns where that is not necessary, because any of
/// them is there already, or not possible: then memory is kept, and all else works.
pub(crate) fn give_memory_back() {
    let is_set = SETTINGS.iter().any(|(name, _)| std::env::var_os(name).is_some());
    let (Ok(program), false) = (std::env::current_exe(), is_set) else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Only returns where it fails.
    drop(again.args(arguments).envs(SETTINGS).exec());
}
