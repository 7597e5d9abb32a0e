//! The manifests of `docker/kubernetes`: complete, hardened, and with probes and paths that the programs know.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::process::agent_program;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/kubernetes")
}

/// The object of this kind in a file.
fn object(file: &str, kind: &str) -> Value {
    let text = std::fs::read_to_string(directory().join(file)).unwrap();
    let parse = |document: &str| serde_norway::from_str::<Value>(document).unwrap();
    text.split("\n---\n").map(parse).find(|object| object["kind"] == kind).unwrap()
}

/// Asserts what a container may not, and returns it.
fn hardened(pod: &Value, user: u32) -> &Value {
    let container = &pod["containers"][0];
    let context = &container["securityContext"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["capabilities"]["drop"][0], "ALL");
    assert!(context["capabilities"]["add"].is_null());
    let of_either = |name: &str| {
        if context[name].is_null() { &pod["securityContext"][name] } else { &context[name] }
    };
    assert_eq!((of_either("runAsNonRoot"), of_either("runAsUser")), (&Value::from(true), &Value::from(user)));
    assert!(container["resources"]["limits"]["memory"].is_string());
    // A secret is a file.
    for variable in container["env"].as_array().unwrap() {
        assert!(variable["valueFrom"]["secretKeyRef"].is_null(), "{variable}");
    }
    container
}

#[test]
fn servers_are_several_and_are_stopped_gently() {
    let deployment = object("server.yaml", "Deployment");
    assert!(2 <= deployment["spec"]["replicas"].as_i64().unwrap());
    let pod = &deployment["spec"]["template"]["spec"];
    let container = hardened(pod, 10_001);
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
    }
    let pause_seconds = 5;
    assert_eq!(container["lifecycle"]["preStop"]["exec"]["command"][1], pause_seconds.to_string());
    let config = crate::support::server::config("postgres://x/x");
    let shutdown_seconds = config.server.shutdown_timeout_ms.div_ceil(1_000);
    let grace_seconds = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(pause_seconds + 2 * shutdown_seconds < grace_seconds, "stopping takes {shutdown_seconds} s");
    let port = u64::from(config_port());
    assert_eq!(container["ports"][0]["containerPort"], port);
    assert_eq!(object("server.yaml", "Service")["spec"]["ports"][0]["port"], port);
    assert_eq!(object("server.yaml", "PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
}

/// The default port.
fn config_port() -> u16 {
    let text = include_str!("../../../config/server.yaml");
    let config: Value = serde_norway::from_str(text).unwrap();
    config["server"]["addr"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn an_agent_on_every_node_reports_the_node_and_keeps_its_identity() {
    let pod = &object("agent.yaml", "DaemonSet")["spec"]["template"]["spec"].clone();
    let container = hardened(pod, 10_002);
    assert_eq!((&pod["hostNetwork"], &pod["hostPID"]), (&Value::from(true), &Value::from(true)));
    assert_eq!(pod["tolerations"][0]["operator"], "Exists");
    let mount = |path: &str| {
        let mounts = container["volumeMounts"].as_array().unwrap();
        mounts.iter().find(|mount| mount["mountPath"] == path).unwrap().clone()
    };
    let volume = |name: &Value| {
        let volumes = pod["volumes"].as_array().unwrap();
        volumes.iter().find(|volume| &volume["name"] == name).unwrap().clone()
    };
    assert_eq!(volume(&mount("/var/lib/pika-agent")["name"])["hostPath"]["path"], "/var/lib/pika-agent");
    let host = mount("/host");
    assert_eq!(
        (&host["readOnly"], host["mountPropagation"].as_str()),
        (&Value::from(true), Some("HostToContainer"))
    );
    let checked = Command::new(agent_program())
        .args(["check-config", "--config"])
        .arg(directory().join("agent-configuration.yaml"))
        .env_clear()
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// Where kubectl is installed, it puts the manifests together.
#[test]
fn kustomize_understands_the_manifests() {
    let Ok(output) = Command::new("kubectl").arg("kustomize").arg(directory()).output() else {
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("\nkind: ").count() + usize::from(text.starts_with("kind: ")), 6, "{text}");
}
