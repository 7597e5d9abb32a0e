//! The agent runs out of disk space, for samples and for everything else it writes.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::support::account::stored;
use crate::support::process::{AgentProcess, Spool, agent_program, enroll_agent};
use crate::support::{Proxy, TestDatabase, TestServer, eventually};

/// How an agent is kept from writing.
#[derive(Clone, Copy, Debug)]
enum Shortage {
    /// Its state directory is a file system of two pages, in a mount namespace created by root.
    FileSystem,
    /// The same in a user namespace, for other users.
    UserFileSystem,
    /// No file may grow beyond a page, for machines that allow no mounts: another error in the same place.
    FileSize,
}

impl Shortage {
    /// Returns what works on this machine.
    async fn of_disk() -> Self {
        for shortage in [Self::FileSystem, Self::UserFileSystem] {
            let mut command = shortage.command(Path::new("/mnt"), Path::new("/dev/null"));
            let output = command.arg("true").stderr(Stdio::null()).status().await;
            if output.is_ok_and(|status| status.success()) {
                return shortage;
            }
        }
        Self::FileSize
    }

    /// Returns the command to which a program is appended to run it with a shortage in `state`.
    fn command(self, state: &Path, identity: &Path) -> Command {
        const MOUNT: &str = "mount -t tmpfs -o size=8k,mode=0700 tmpfs \"$1\" && cp -p \"$2\" \"$1\" && \
                             shift 2 && exec \"$@\"";
        const LIMIT: &str =
            "trap '' XFSZ && cp -p \"$2\" \"$1\" && shift 2 && exec prlimit --fsize=4096 \"$@\"";
        let (arguments, script): (&[&str], _) = match self {
            Self::FileSystem => (&["unshare", "--mount"], MOUNT),
            Self::UserFileSystem => (&["unshare", "--user", "--map-root-user", "--mount"], MOUNT),
            Self::FileSize => (&["env"], LIMIT),
        };
        let mut command = Command::new(arguments[0]);
        command.args(&arguments[1..]).args(["sh", "-c", script, "sh"]).arg(state).arg(identity);
        command
    }
}

#[tokio::test]
async fn a_full_disk_loses_only_what_does_not_fit() {
    what_finds_no_room_is_all_that_is_lost(Shortage::of_disk().await).await;
}

#[tokio::test]
async fn files_that_may_not_grow_lose_only_what_does_not_fit() {
    what_finds_no_room_is_all_that_is_lost(Shortage::FileSize).await;
}

async fn what_finds_no_room_is_all_that_is_lost(shortage: Shortage) {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let proxy = Proxy::start(&server.url("")).await;
    let directory = tempfile::tempdir().unwrap();
    let [enrolled, state, config] =
        ["enrolled", "state", "agent.yaml"].map(|name| directory.path().join(name));
    std::fs::create_dir(&state).unwrap();
    std::fs::write(&config, "outbox:\n  memory_samples_max: 2\n").unwrap();
    let id = enroll_agent(&server, &enrolled).await;

    proxy.stall();
    let mut command = shortage.command(&state, &enrolled.join("identity.json"));
    command.arg(agent_program()).args(["run", "--config"]).arg(&config);
    let mut agent = AgentProcess::start_command(command, &proxy.address(), &state);
    eventually("the agent drops samples", || async {
        agent.log().contains("dropped the oldest").then_some(())
    })
    .await;
    let log = agent.log();
    assert!(log.contains("cannot write to the spool; samples are kept in memory"), "{shortage:?}: {log}");
    // Through the process, as it may see another file system there.
    let seen =
        Path::new("/proc").join(agent.id().to_string()).join("root").join(state.strip_prefix("/").unwrap());
    let spooled = Spool::read(&seen);
    assert!(!spooled.samples.is_empty(), "{shortage:?}: {log}");

    proxy.restore();
    let everything = eventually("all that was kept arrives", || async {
        let rows = stored(&database.url, &id).await;
        let is_there = |ts: &i64| rows.contains_key(ts);
        (spooled.samples.values().all(is_there) && spooled.samples.len() + 3 <= rows.len()).then_some(())
    });
    everything.await;
    assert!(agent.terminate().await.success(), "{shortage:?}: {}", agent.log());
    let rows = stored(&database.url, &id).await;
    assert!(rows.values().all(|[cpu, memory, load, _, _]| [cpu, memory, load] == [&1; 3]), "{rows:?}");
    let ended = eventually("the agent says what became of its samples", || async {
        agent.log().lines().find(|line| line.contains("stopped")).map(ToOwned::to_owned)
    })
    .await;
    let number = |name: &str| -> usize {
        let digits = ended.split_once(&format!("{name}=")).unwrap().1;
        digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    assert_eq!(number("unacknowledged"), 0, "{shortage:?}: {ended}");
    assert!(0 < number("dropped"), "{shortage:?}: {ended}");
    // A dropped sample may have arrived if it was dropped in flight.
    assert!(number("taken") <= rows.len() + number("dropped"), "{shortage:?}: {} rows, {ended}", rows.len());
    server.stop().await.unwrap();
}
