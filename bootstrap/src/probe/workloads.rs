//! Probes that need a Pod to run.

use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Client;
use kube::api::{Api, ListParams, LogParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::json;
use tokio::net::TcpListener;

use super::checks::{namespace, object, remove, text};
use super::report::Seen;

/// Longest time a Pod of the probe may take to end; usual is 2 s.
const POD_DEADLINE: Duration = Duration::from_secs(30);

/// What one Job showed.
pub(super) struct Workload {
    pub(super) completed: Seen,
    pub(super) logged: Seen,
    pub(super) isolated: Seen,
}

pub(super) async fn job(client: &Client) -> Workload {
    const NAME: &str = "gonogo-probe-job";
    let completed = match namespace(client, NAME).await {
        Ok(()) => run_job(client, NAME).await,
        Err(error) => Err(error),
    };
    let log = match &completed {
        Ok(_) => log_of_job(client, NAME).await,
        Err(reason) => Err(reason.clone()),
    };
    remove(client, NAME).await;
    Workload {
        completed: completed.map(|()| "the Job completed".to_owned()),
        isolated: log
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|log| isolated(log)),
        logged: log.map(|log| format!("{} bytes", log.len())),
    }
}

async fn run_job(client: &Client, namespace: &str) -> Result<(), String> {
    let job: Job = object(
        json!({"metadata": {"name": "probe"}, "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "probe", "image": "none", "command": ["readlink", "/proc/self/ns/mnt"]}],
        }}}}),
    )?;
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    jobs.create(&PostParams::default(), &job)
        .await
        .map_err(text)?;
    let ended = |job: Option<&Job>| {
        job.and_then(|job| job.status.as_ref())
            .is_some_and(|status| {
                status.succeeded.unwrap_or_default() + status.failed.unwrap_or_default() > 0
            })
    };
    let job = tokio::time::timeout(POD_DEADLINE, await_condition(jobs, "probe", ended))
        .await
        .map_err(|_| format!("the Job did not end within {} s", POD_DEADLINE.as_secs()))?
        .map_err(text)?;
    let succeeded = job
        .and_then(|job| job.status)
        .and_then(|status| status.succeeded)
        .unwrap_or_default();
    if succeeded == 1 {
        Ok(())
    } else {
        Err("the Job failed".to_owned())
    }
}

async fn log_of_job(client: &Client, namespace: &str) -> Result<String, String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = pods
        .list(&ListParams::default().labels("job-name=probe"))
        .await
        .map_err(text)?
        .items
        .pop();
    let name = pod
        .and_then(|pod| pod.metadata.name)
        .ok_or("the Job has no Pod")?;
    let log = pods
        .logs(&name, &LogParams::default())
        .await
        .map_err(text)?;
    if log.trim().starts_with("mnt:[") {
        Ok(log)
    } else {
        Err(format!("the log reads {:?}", log.trim()))
    }
}

fn isolated(log: &str) -> Seen {
    let own = std::fs::read_link("/proc/self/ns/mnt").map_err(text)?;
    if own.as_os_str() == log.trim() {
        Err("Pods run as processes in the mount namespace of this machine".to_owned())
    } else {
        Ok("the Pod has a mount namespace of its own".to_owned())
    }
}

/// The listener sees whether a Pod reached it, so the Pod needs no more than git, which the gate needs anyway.
pub(super) async fn network_policy_blocks(client: &Client, address: SocketAddr) -> Seen {
    const NAME: &str = "gonogo-probe-network";
    let listener = TcpListener::bind(address).await.map_err(text)?;
    namespace(client, NAME).await?;
    let seen = async {
        if !connects(client, NAME, "open", &listener).await? {
            return Err("a Pod without a policy could not connect, so the probe shows nothing".to_owned());
        }
        let policy: NetworkPolicy = object(json!({"metadata": {"name": "deny"}, "spec": {
            "podSelector": {}, "policyTypes": ["Egress"],
        }}))?;
        Api::namespaced(client.clone(), NAME).create(&PostParams::default(), &policy).await.map_err(text)?;
        if connects(client, NAME, "denied", &listener).await? {
            Err("a Pod connected although a NetworkPolicy denies it: nothing enforces policies here".to_owned())
        } else {
            Ok("the connection was blocked".to_owned())
        }
    }
    .await;
    remove(client, NAME).await;
    seen
}

async fn connects(
    client: &Client,
    namespace: &str,
    name: &str,
    listener: &TcpListener,
) -> Result<bool, String> {
    let address = listener.local_addr().map_err(text)?;
    let pod: Pod = object(json!({"metadata": {"name": name}, "spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "probe", "image": "none", "command": ["git", "ls-remote", format!("http://{address}/probe")]}],
    }}))?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.create(&PostParams::default(), &pod)
        .await
        .map_err(text)?;
    let ended = |pod: Option<&Pod>| {
        let phase = pod
            .and_then(|pod| pod.status.as_ref())
            .and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    tokio::select! {
        // Dropping the connection ends git at once.
        accepted = listener.accept() => accepted.map(|_| true).map_err(text),
        ended = tokio::time::timeout(POD_DEADLINE, await_condition(pods, name, ended)) => match ended {
            Ok(ended) => ended.map(|_| false).map_err(text),
            Err(_) => Err(format!("the Pod did not end within {} s", POD_DEADLINE.as_secs())),
        },
    }
}
