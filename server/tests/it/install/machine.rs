//! A machine of its own to install on: this one's file system beneath a layer that takes all changes and goes away with
//! the test. It shares processes and network with this one.

use std::fmt::Write as _;
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::TestServer;

/// A `systemctl` that does what the script asks of it: one service, whose process it keeps.
const SYSTEMCTL: &str = r#"#!/bin/sh
[ "$1" != --quiet ] || shift
stop() {
  [ -e /tmp/agent.pid ] || return 0
  kill "$(cat /tmp/agent.pid)" 2>/dev/null
  while kill -0 "$(cat /tmp/agent.pid)" 2>/dev/null; do sleep 0.1; done
  rm -f /tmp/agent.pid
}
case $1 in
  daemon-reload) ;;
  enable) ln -sf /etc/systemd/system/pika-agent.service /etc/enabled ;;
  is-active) kill -0 "$(cat /tmp/agent.pid)" ;;
  disable) stop; rm -f /etc/enabled ;;
  restart)
    [ -e /etc/enabled ] && grep -q '^User=pika-agent$' /etc/systemd/system/pika-agent.service || exit 1
    stop
    PIKA_AGENT_INTERVAL_MS=1000 setpriv --reuid pika-agent --regid pika-agent --clear-groups \
      /usr/local/bin/pika-agent run --enroll-if-needed --state-dir /var/lib/pika-agent >/dev/null 2>&1 </dev/null &
    echo $! >/tmp/agent.pid
    ;;
  *) exit 1 ;;
esac
"#;

/// Makes the layer, says so, and keeps it until standard input ends.
const KEEPER: &str = r#"
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"
for directory in proc dev; do mount --rbind "/$directory" "$1/root/$directory"; done
mount -t tmpfs -o mode=1777 tmpfs "$1/root/tmp"
mount -t tmpfs tmpfs "$1/root/run"
echo ready
read -r _ || true
[ ! -e "$1/root/tmp/agent.pid" ] || kill "$(cat "$1/root/tmp/agent.pid")" || true
"#;

pub(super) struct Machine {
    keeper: Child,
    mount_point: tempfile::TempDir,
    server: String,
    token: String,
}

impl Machine {
    /// Makes a machine for an agent of this server. Only root can: `None` for others, after a look at what the script
    /// says to them.
    pub(super) async fn new(server: &TestServer, token: &str) -> Option<Self> {
        let mount_point = tempfile::TempDir::with_prefix("pika-test-machine-").unwrap();
        let id = Command::new("id").arg("-u").output().await.unwrap();
        if id.stdout != b"0\n" {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/agent/agent.sh");
            let output = Command::new("sh").arg(script).output().await.unwrap();
            assert!(text(&output).contains("as root"), "{output:?}");
            return None;
        }
        let mut keeper = Command::new("unshare")
            .args(["--mount", "sh", "-c", KEEPER, "sh"])
            .arg(mount_point.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
        let machine = Self {
            keeper,
            mount_point,
            server: format!("http://{}", server.address),
            token: token.to_owned(),
        };
        machine.run(&format!("curl -fsS -o /tmp/agent.sh '{}/install/agent.sh'", machine.server)).await;
        Some(machine)
    }

    /// Puts a stand-in for systemd onto it.
    pub(super) async fn add_systemd(&self) {
        let mut script = String::from("mkdir -p /run/systemd/system /etc/systemd/system\n");
        writeln!(script, "cat >/usr/local/sbin/systemctl <<'END'\n{SYSTEMCTL}END").unwrap();
        script += "chmod 755 /usr/local/sbin/systemctl\n";
        self.run(&script).await;
    }

    /// All that the script could leave behind, except for backups and locks of the programs that manage users.
    pub(super) async fn tree(&self) -> String {
        self.run(
            "find /etc /usr/local /usr/bin /var/lib /var/spool /opt -xdev ! -name '*-' ! -name .pwd.lock 2>/dev/null | sort
             cat /etc/passwd /etc/group",
        )
        .await
    }

    /// Runs a shell script that succeeds, and returns its output.
    pub(super) async fn run(&self, script: &str) -> String {
        let output = self.output(script, &[]).await;
        assert!(output.status.success(), "{script}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the script that installs, and returns what it says.
    pub(super) async fn succeeds(&self, options: &str) -> String {
        let output = self.install(&self.server, options).await;
        assert!(output.status.success(), "{options}: {}", text(&output));
        text(&output)
    }

    /// The same, where it must fail.
    pub(super) async fn fails(&self, options: &str) -> String {
        let output = self.install(&self.server, options).await;
        assert!(!output.status.success(), "{options}: {}", text(&output));
        text(&output)
    }

    /// The same, with another server.
    pub(super) async fn fails_at(&self, address: &str) -> String {
        let output = self.install(address, "").await;
        assert!(!output.status.success(), "{address}: {}", text(&output));
        text(&output)
    }

    async fn install(&self, address: &str, options: &str) -> Output {
        let variables = [("PIKA_SERVER", address), ("PIKA_ENROLLMENT_TOKEN", &self.token)];
        self.output(&format!("sh /tmp/agent.sh {options}"), &variables).await
    }

    async fn output(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let root = self.mount_point.path().join("root");
        let pid = self.keeper.id().unwrap().to_string();
        Command::new("nsenter")
            // Without a terminal that could be asked.
            .args(["--mount", "--target", &pid, "setsid", "--wait", "chroot"])
            .arg(root)
            .args(["sh", "-euc", script])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Ends what still runs there, and then the layer.
        if let Some(stdin) = self.keeper.stdin.take() {
            drop(stdin);
        }
        for _ in 0..100 {
            if let Ok(Some(_)) = self.keeper.try_wait() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
