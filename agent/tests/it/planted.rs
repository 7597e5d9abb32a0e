//! What the agent's own user can plant in its state directory before somebody more privileged runs the agent there: links,
//! pipes, devices, and directories in the place of others.
#![cfg(unix)]

mod running;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pika_protocol::AgentMessage;
use tempfile::TempDir;

use crate::support::*;

/// The agent's user, where the test is root: nobody. Otherwise everything belongs to whoever runs the test, and what is left
/// to see is that no link is followed.
const USER: u32 = 65_534;

const TREASURE: &str = "only root may read and write this\n";

fn is_root() -> bool {
    fs::metadata("/proc/self")
        .map_or_else(|_| tempfile::tempfile().unwrap().metadata().unwrap().uid(), |of| of.uid())
        == 0
}

/// Gives a path itself, not what it leads to, to the agent's user.
fn give(path: &Path) {
    if is_root() {
        std::os::unix::fs::lchown(path, Some(USER), Some(USER)).unwrap();
    }
}

/// A state directory of the agent's user, and beside it a file that is none of its business.
struct Scene {
    _dir: TempDir,
    state: PathBuf,
    treasure: PathBuf,
}

impl Scene {
    /// `server` is where the agent was enrolled; nobody answers there unless a test does.
    fn new(server: &str) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let [state, treasure] = ["state", "treasure"].map(|name| dir.path().join(name));
        fs::write(&treasure, TREASURE).unwrap();
        fs::set_permissions(&treasure, fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir_all(state.join("spool")).unwrap();
        let scene = Scene { _dir: dir, state, treasure };
        scene.write_identity(server);
        for path in [scene.state.clone(), scene.state.join("spool"), scene.state.join("identity.json")] {
            give(&path);
        }
        scene
    }

    fn write_identity(&self, server: &str) {
        let identity = serde_json::json!({ "id": AGENT_ID, "secret": SECRET, "server": server });
        fs::write(self.state.join("identity.json"), identity.to_string()).unwrap();
    }

    /// A symbolic link of the agent's user to the treasure.
    fn plant_link(&self, name: &str) {
        let path = self.state.join(name);
        symlink(&self.treasure, &path).unwrap();
        give(&path);
    }

    /// A subcommand that ends by itself.
    fn command(&self, subcommand: &str) -> Command {
        command(subcommand, &self.state)
    }

    #[track_caller]
    fn assert_treasure_is_untouched(&self) {
        assert_eq!(fs::read_to_string(&self.treasure).unwrap(), TREASURE, "the contents");
        let found = fs::metadata(&self.treasure).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o600, "the mode");
        assert_eq!(found.uid() == 0, is_root(), "the owner is {}", found.uid());
    }
}

fn command(subcommand: &str, state_dir: &Path) -> Command {
    // Kill it if it hangs.
    let mut command = Command::new("timeout");
    command
        .args(["--signal=KILL", "20", env!("CARGO_BIN_EXE_pika-agent"), subcommand, "--state-dir"])
        .arg(state_dir);
    command.env("PIKA_ENROLLMENT_TOKEN", "token").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Nobody listens there.
const NO_SERVER: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn rotating_a_secret_follows_no_planted_link_and_keeps_the_owner() {
    for name in
        ["identity.tmp", "identity.json.tmp", ".identity.json.tmp", "enrollment.json", "enrollment.tmp"]
    {
        let scene = Scene::new(NO_SERVER);
        scene.plant_link(name);
        let output = run(scene.command("rotate-secret")).await;
        assert!(!output.status.success(), "there is no server");
        scene.assert_treasure_is_untouched();
        // The next secret is on disk before the server learns it.
        let identity = fs::read_to_string(scene.state.join("identity.json")).unwrap();
        assert!(identity.contains("nextSecret"), "{identity}");
        let found = fs::symlink_metadata(scene.state.join("identity.json")).unwrap();
        assert!(found.is_file());
        assert_eq!(found.mode() & 0o7777, 0o600);
        assert!(!is_root() || found.uid() == USER, "the agent can read it");
    }
}

/// An attacker who watches the directory and keeps replacing whatever appears in it by a link.
#[tokio::test]
async fn a_race_for_the_names_in_the_directory_gains_nothing() {
    let scene = Scene::new(NO_SERVER);
    let identity = fs::read(scene.state.join("identity.json")).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let attack = {
        let (state, treasure, is_over) = (scene.state.clone(), scene.treasure.clone(), Arc::clone(&is_over));
        std::thread::spawn(move || {
            let mut n_planted = 0;
            while !is_over.load(Ordering::Relaxed) {
                for entry in
                    fs::read_dir(&state).unwrap().flatten().filter(|entry| entry.file_name() != "spool")
                {
                    let link = state.join("spool").join(entry.file_name());
                    if symlink(&treasure, &link).is_ok() {
                        give(&link);
                        n_planted += usize::from(fs::rename(&link, entry.path()).is_ok());
                    }
                }
            }
            n_planted
        })
    };
    for _ in 0..20 {
        // Sometimes it is there, and sometimes a link is.
        let new = scene.treasure.with_extension("new");
        fs::write(&new, &identity).unwrap();
        fs::rename(&new, scene.state.join("identity.json")).unwrap();
        run(scene.command("rotate-secret")).await;
        scene.assert_treasure_is_untouched();
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(0 < attack.join().unwrap(), "there was an attack");
    scene.assert_treasure_is_untouched();
}

#[tokio::test]
async fn an_identity_that_is_a_link_is_not_read() {
    let scene = Scene::new(NO_SERVER);
    let identity = scene.state.join("identity.json");
    let secrets = scene.treasure.with_extension("json");
    fs::rename(&identity, &secrets).unwrap();
    symlink(&secrets, &identity).unwrap();
    give(&identity);
    for subcommand in ["rotate-secret", "run"] {
        let output = run(scene.command(subcommand)).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains("not a regular file"), "{subcommand}: {text}");
        assert!(!fs::read_to_string(&secrets).unwrap().contains("nextSecret"));
    }
}

#[tokio::test]
async fn an_identity_that_is_a_pipe_hangs_nothing() {
    let scene = Scene::new(NO_SERVER);
    let identity = scene.state.join("identity.json");
    fs::remove_file(&identity).unwrap();
    make_pipe(&identity);
    for subcommand in ["rotate-secret", "run"] {
        let output = run(scene.command(subcommand)).await;
        assert!(!output.status.success());
    }
}

#[tokio::test]
async fn enrolling_again_follows_no_planted_link() {
    let server = FakeServer::start().await;
    for names in [
        &["identity.tmp", "enrollment.tmp", "state.tmp"][..],
        &["identity.json", "enrollment.json", "state.json"],
    ] {
        let scene = Scene::new(&server.url());
        for name in names {
            drop(fs::remove_file(scene.state.join(name)));
            scene.plant_link(name);
        }
        let mut command = scene.command("enroll");
        command.args(["--replace", "--server", &server.url()]);
        let enrollment = tokio::spawn(run(command));
        let mut peer = server.accept().await;
        assert!(matches!(peer.receive().await.message, AgentMessage::Register(_)));
        peer.send(&register_ack(Some("new"))).await;
        while peer.receive_message().await.is_some() {}
        let output = within("the enrollment", enrollment).await.unwrap();
        scene.assert_treasure_is_untouched();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found = fs::symlink_metadata(scene.state.join("identity.json")).unwrap();
        assert!(
            found.is_file() && fs::read_to_string(scene.state.join("identity.json")).unwrap().contains("new")
        );
        assert!(!is_root() || found.uid() == USER, "the agent can read it");
    }
}

#[tokio::test]
async fn a_state_directory_that_its_user_made_a_link_is_refused() {
    let scene = Scene::new(NO_SERVER);
    let home = scene.treasure.with_extension("home");
    let elsewhere = scene.treasure.with_extension("elsewhere");
    for dir in [&home, &elsewhere] {
        fs::create_dir(dir).unwrap();
    }
    give(&home);
    let link = home.join("state");
    symlink(&elsewhere, &link).unwrap();
    give(&link);
    for (through, subcommand) in [("", "enroll"), ("", "rotate-secret"), ("", "run"), ("deeper", "enroll")] {
        fs::write(elsewhere.join("identity.json"), fs::read(scene.state.join("identity.json")).unwrap())
            .unwrap();
        let before = tree(&elsewhere);
        let mut command = command(subcommand, &link.join(through));
        command.args(["--server", NO_SERVER]);
        if subcommand == "enroll" {
            command.arg("--replace");
        }
        if is_root() {
            let output = run(command).await;
            assert!(!output.status.success());
            assert_eq!(tree(&elsewhere), before, "{subcommand}");
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("symbolic link"), "{subcommand}: {text}");
        }
    }
}

#[tokio::test]
async fn a_link_of_root_or_of_the_same_owner_is_an_ordinary_path() {
    let scene = Scene::new(NO_SERVER);
    let link = scene.treasure.with_extension("link");
    symlink(&scene.state, &link).unwrap();
    run(command("rotate-secret", &link)).await;
    assert!(fs::read_to_string(scene.state.join("identity.json")).unwrap().contains("nextSecret"));
}

#[tokio::test]
async fn a_directory_that_everybody_may_write_is_refused() {
    let scene = Scene::new(NO_SERVER);
    let parent = scene.state.parent().unwrap().to_owned();
    for (dir, mode) in [(&scene.state, 0o777), (&scene.state, 0o1777), (&parent, 0o777)] {
        let was = fs::metadata(dir).unwrap().permissions();
        fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
        let before = fs::read(scene.state.join("identity.json")).unwrap();
        for subcommand in ["rotate-secret", "run", "enroll"] {
            let mut command = scene.command(subcommand);
            command.args(["--server", NO_SERVER]);
            let output = run(command).await;
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success());
            assert!(text.contains("everybody may write"), "{subcommand}, mode {mode:o}: {text}");
            assert!(text.contains(&dir.display().to_string()), "it says which: {text}");
        }
        assert_eq!(fs::read(scene.state.join("identity.json")).unwrap(), before);
        fs::set_permissions(dir, was).unwrap();
    }
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    if is_root() {
        chown(path, Some(USER), Some(USER)).unwrap();
    }
}

/// All files below, with their contents.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}
