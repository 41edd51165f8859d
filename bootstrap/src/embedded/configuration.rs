//! Files that the components read: kubeconfigs and the audit policy.

use std::net::SocketAddr;

use base64::Engine;
use serde_json::{Value, json};

use super::certificates::Identity;

/// The name in the API server's certificate that clients check, whatever address they reach it by.
pub(crate) const SERVER_NAME: &str = "kubernetes.default.svc";

/// A kubeconfig with everything inside it. JSON is YAML, so every client reads it.
pub(crate) fn kubeconfig(
    server: SocketAddr,
    authority: &str,
    identity: &Identity,
    user: &str,
) -> Value {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "gonogo", "cluster": {
            "server": format!("https://{server}"),
            "certificate-authority-data": encode(authority),
            "tls-server-name": SERVER_NAME,
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": encode(&identity.certificate),
            "client-key-data": encode(&identity.key),
        }}],
        "contexts": [{"name": "gonogo", "context": {"cluster": "gonogo", "user": user}}],
        "current-context": "gonogo",
    })
}

/// What the ledger needs (E-20): creations of Pods with their names, every other write, no reads.
/// Heartbeats, events and questions about rights are writes in form only.
pub(super) fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": true,
        "rules": [
            {"level": "None", "verbs": ["get", "list", "watch"]},
            {"level": "None", "nonResourceURLs": ["/*"]},
            {"level": "None", "resources": [
                {"group": "coordination.k8s.io", "resources": ["leases"]},
                {"group": "", "resources": ["events", "nodes/status", "endpoints"]},
                {"group": "events.k8s.io", "resources": ["events"]},
                {"group": "discovery.k8s.io", "resources": ["endpointslices"]},
                {"group": "authentication.k8s.io"},
                {"group": "authorization.k8s.io"},
            ]},
            {"level": "RequestResponse", "verbs": ["create"], "resources": [{"group": "", "resources": ["pods"]}]},
            {"level": "Metadata"},
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_policy_keeps_pod_creations_whole_and_other_writes_short() {
        let policy = audit_policy();
        let rules = policy["rules"].as_array().expect("rules");
        let whole = rules
            .iter()
            .position(|rule| rule["level"] == "RequestResponse")
            .expect("pods");
        assert_eq!(rules[whole]["resources"][0]["resources"], json!(["pods"]));
        assert_eq!(rules.last(), Some(&json!({"level": "Metadata"})));
    }
}
