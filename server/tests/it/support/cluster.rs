//! A database server for a single test, which can be killed without warning.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/database/cluster.sh");

/// The cluster. It has the settings of real use, so a commit is on disk before it is answered; the other tests' cluster
/// trades that for speed.
pub(crate) struct TestCluster {
    pub(crate) url: String,
    state: PathBuf,
    janitor: Child,
    _directory: TempDir,
}

impl TestCluster {
    pub(crate) async fn start() -> Self {
        let mut cluster = Self::prepare();
        cluster.url = run(&cluster.state, &["start", "--port", "0", "--profile", "service"]).await;
        cluster
    }

    /// Starts a standby, which streams what this one writes.
    pub(crate) async fn start_standby(&self) -> Self {
        let mut standby = Self::prepare();
        fs::create_dir(&standby.state).unwrap();
        for file in ["origin", "superuser.password", "pika.password", "complete"] {
            fs::copy(self.state.join(file), standby.state.join(file)).unwrap();
        }
        let mut copying = self.program("pg_basebackup");
        copying.args(["--write-recovery-conf", "--checkpoint=fast", "--no-password", "--pgdata"]);
        copying.arg(standby.state.join("data"));
        copying.arg(format!("--dbname={}", self.superuser_url("postgres")));
        assert!(copying.status().await.unwrap().success());
        standby.url = run(&standby.state, &["start", "--port", "0", "--profile", "service"]).await;
        standby
    }

    /// Returns the command of one of PostgreSQL's programs.
    fn program(&self, name: &str) -> Command {
        let origin = fs::read_to_string(self.state.join("origin")).unwrap();
        if let Some(directory) = origin.trim().strip_prefix("host ") {
            return Command::new(Path::new(directory).join("bin").join(name));
        }
        let root = Path::new(origin.trim().strip_prefix("root ").unwrap());
        let major = fs::read_to_string(self.state.join("data/PG_VERSION")).unwrap();
        let libraries = root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
        let mut files = fs::read_dir(&libraries).unwrap().map(|entry| entry.unwrap().path());
        let is_loader = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("ld-linux");
        let mut command = Command::new(files.find(is_loader).unwrap());
        command.arg("--library-path").arg(libraries);
        command.arg(root.join(format!("usr/lib/postgresql/{}/bin", major.trim())).join(name));
        command
    }

    fn prepare() -> Self {
        let directory = TempDir::with_prefix("pika-test-cluster-").unwrap();
        // PostgreSQL's user must be able to pass through.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let state = directory.path().join("database");
        // Removes the cluster when its standard input ends: with this value, or with the test's process, however that
        // ends.
        let janitor = Command::new("sh")
            .arg("-c")
            .arg(
                "trap '' INT TERM HUP; read -r _; \"$1\" stop --state \"$2\"; \
                 rm -rf \"$2\" 2>/dev/null || sudo -n rm -rf \"$2\"",
            )
            .args(["sh", SCRIPT, state.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { url: String::new(), state, janitor, _directory: directory }
    }

    /// Starts it again after it was killed, at the same address.
    pub(crate) async fn restart(&self) {
        let authority = self.url.rsplit_once('@').unwrap().1;
        let port = authority.split_once(':').unwrap().1.split('/').next().unwrap();
        let url = run(&self.state, &["start", "--port", port, "--profile", "service"]).await;
        assert_eq!(url, self.url);
    }

    /// Returns a URL of the superuser, at a database.
    pub(crate) fn superuser_url(&self, database: &str) -> String {
        let password = fs::read_to_string(self.state.join("superuser.password")).unwrap();
        let authority = self.url.rsplit_once('@').unwrap().1.split('/').next().unwrap();
        format!("postgres://postgres:{}@{authority}/{database}", password.trim())
    }

    /// `kill -9` of the postmaster and all its processes at once.
    pub(crate) async fn kill(&self) {
        let status = run(&self.state, &["status"]).await;
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let postmaster: u32 = digits(status.split_once("process ").unwrap().1).parse().unwrap();
        let mut processes = children(postmaster);
        processes.insert(0, postmaster);
        kill(&processes).await;
    }
}

/// `kill -9` of processes that may belong to another user.
pub(crate) async fn kill(processes: &[u32]) {
    let arguments: Vec<String> = processes.iter().map(u32::to_string).collect();
    let kill = |program: &str, before: &[&str]| {
        let mut command = Command::new(program);
        command.args(before).arg("-9").args(&arguments).stderr(Stdio::null());
        command
    };
    if !kill("kill", &[]).status().await.unwrap().success() {
        // Some may have ended meanwhile; what counts is seen in the test.
        drop(kill("sudo", &["-n", "kill"]).status().await);
    }
}

fn children(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"));
        // The name in parentheses may hold anything; then come the state and the parent.
        stat.is_ok_and(|stat| {
            let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
            fields.split_whitespace().nth(1) == Some(parent.to_string().as_str())
        })
    };
    let entries = fs::read_dir("/proc").unwrap();
    let processes = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    processes.filter(is_child).collect()
}

async fn run(state: &Path, arguments: &[&str]) -> String {
    let (action, rest) = arguments.split_first().unwrap();
    let output =
        Command::new(SCRIPT).arg(action).arg("--state").arg(state).args(rest).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cluster.sh {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        // The directory must not go before the database is stopped.
        while let Ok(None) = self.janitor.try_wait() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
