//! The systemd unit: what it takes away from the agent, and what it must not.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Exposure as `systemd-analyze security` counts it, in tenths: from 0 (none) to 100.
const EXPOSURE_MAX: &str = "21";

/// What the unit must say. Each line takes something away from the agent, or makes it run in a container.
const LINES: [&str; 30] = [
    "ExecStart=pika-agent run --enroll-if-needed --state-dir ${STATE_DIRECTORY}",
    "StateDirectory=pika-agent",
    "StateDirectoryMode=0700",
    "User=pika-agent",
    "Group=pika-agent",
    "UMask=0077",
    "CapabilityBoundingSet=",
    "NoNewPrivileges=yes",
    "PrivateTmp=yes",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "RemoveIPC=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged",
    "SystemCallErrorNumber=EPERM",
    "MemoryMax=256M",
];

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/systemd/pika-agent.service")
}

#[test]
fn the_unit_takes_away_what_the_agent_does_not_need() {
    let text = std::fs::read_to_string(unit()).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for line in LINES {
        assert!(lines.contains(&line), "{line}");
    }
    // A dynamic user does not work in every container. No shell, and nothing that hides what is to be reported.
    for word in ["DynamicUser", "ExecStartPre", "/bin/sh", "ProcSubset", "PrivateDevices", "PrivateNetwork"] {
        assert!(!lines.iter().any(|line| line.contains(word)), "{word}");
    }
}

/// Where systemd is installed, it has the last word.
#[test]
fn systemd_agrees() {
    let analyze = |arguments: &[&str]| {
        Command::new("systemd-analyze").args(arguments).arg(unit()).env("SYSTEMD_PAGER", "").output()
    };
    let Ok(verified) = analyze(&["verify"]) else {
        return;
    };
    let text = String::from_utf8_lossy(&verified.stderr);
    // The program is not installed here.
    let complaints: Vec<_> =
        text.lines().filter(|line| !line.contains("pika-agent is not executable")).collect();
    assert!(!complaints.iter().any(|line| line.contains("pika-agent.service")), "{complaints:?}");
    let judged = analyze(&["security", "--offline=true", "--threshold", EXPOSURE_MAX]).unwrap();
    // Older versions cannot judge a file.
    let cannot = String::from_utf8_lossy(&judged.stderr).contains("unrecognized option");
    assert!(cannot || judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}
