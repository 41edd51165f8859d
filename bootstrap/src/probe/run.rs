//! All probes side by side, in namespaces of their own that are gone afterwards.
//!
//! One of them takes seconds and decides for no scenario whether it can be played; it is asked beside the features.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::checks;
use super::report::{Capabilities, Capability, Seen};
use super::workloads;
use crate::embedded::EmbeddedTarget;

/// Longest time one probe may take; a namespace needs 5 s to disappear on an idle machine, for Kubernetes does not begin
/// earlier.
const PROBE_DEADLINE: Duration = Duration::from_secs(40);

/// Tries whether namespaces disappear; to be added to what [`probe`] found.
pub async fn probe_disappearance(client: kube::Client) -> (String, Capability) {
    let seen = timed(
        "create a namespace with content, delete it, watch it go",
        checks::namespace_disappears(&client),
    );
    ("namespaces_disappear".to_owned(), seen.await)
}

/// Tries every capability of the target but [`probe_disappearance`].
pub async fn probe(target: &EmbeddedTarget) -> Capabilities {
    let client = &target.kube;
    let workload = async {
        let started = Instant::now();
        (workloads::job(client).await, started.elapsed())
    };
    let (rbac, quota, admission, network, (workload, workload_took)) = tokio::join!(
        timed(
            "read Secrets as a user without rights, and as the administrator",
            checks::rbac_denies(target)
        ),
        timed(
            "create two Pods under a quota of one",
            checks::quota_bites(client)
        ),
        timed(
            "create a refused and an unrefused object under a ValidatingAdmissionPolicy",
            checks::policy_refuses(client)
        ),
        timed(
            "connect from a Pod with and without a NetworkPolicy that denies all egress",
            workloads::network_policy_blocks(client, target.network.probe()),
        ),
        workload,
    );
    let mut capabilities = BTreeMap::from([
        ("rbac_denies".to_owned(), rbac),
        ("quota_bites".to_owned(), quota),
        ("admission_policy_refuses".to_owned(), admission),
        ("network_policy_blocks".to_owned(), network),
    ]);
    for (name, tried, seen) in [
        ("jobs_run", "run a Job to completion", workload.completed),
        (
            "logs_read",
            "read the Job's log through the API server",
            workload.logged,
        ),
        (
            "container_isolation",
            "compare the mount namespace of a Pod with this program's",
            workload.isolated,
        ),
    ] {
        capabilities.insert(name.to_owned(), Capability::new(tried, seen, workload_took));
    }
    for (name, tried, reason) in [
        (
            "images_build",
            "look for an image builder",
            "the embedded target has no image builder and no registry",
        ),
        (
            "ingress",
            "look for an ingress controller",
            "the embedded target has no ingress controller",
        ),
        (
            "acme",
            "look for a certificate issuer",
            "the embedded target has no certificate issuer",
        ),
        (
            "ssh_host",
            "look for a host reached by SSH",
            "the embedded target is this machine",
        ),
    ] {
        capabilities.insert(
            name.to_owned(),
            Capability::new(tried, Err(reason.to_owned()), Duration::ZERO),
        );
    }
    let codex = timed(
        "ask the program codex on PATH for its version",
        checks::codex_version(),
    );
    capabilities.insert("codex".to_owned(), codex.await);
    Capabilities { capabilities }
}

async fn timed(tried: &str, check: impl Future<Output = Seen>) -> Capability {
    let started = Instant::now();
    let seen = tokio::time::timeout(PROBE_DEADLINE, check)
        .await
        .unwrap_or_else(|_| Err(format!("no result within {} s", PROBE_DEADLINE.as_secs())));
    Capability::new(tried, seen, started.elapsed())
}
