//! Keys of runtime 6.2 that belong to the bootstrap or to parts that are not built yet: set, known, unused here.

/// Beginnings of documented key names no process of this program reads.
const DOCUMENTED_PREFIXES: [&str; 25] = [
    "AI_",
    "BOOTSTRAP_",
    "CERT_",
    "DNS_",
    "FIREWALL_",
    "FIRST_PROJECT_",
    "GITHUB_",
    "GIT_BOT_",
    "GOVERNANCE_",
    "IMAGE_",
    "INGRESS_",
    "INTERACTION_",
    "INTERNAL_",
    "K8S_",
    "LETSENCRYPT_",
    "MCP_",
    "NETWORK_",
    "NODE_",
    "OAUTH2_",
    "PLATFORM_",
    "PRODUCTION_",
    "PROJECT_DB_",
    "REGISTRY_",
    "SHARED_",
    "WORKER_",
];
const DOCUMENTED_KEYS: [&str; 16] = [
    "ALLOW_SMALL_HOST",
    "FLOW_EVENTS_RETENTION_DAYS",
    "GITHUB_SYNC_TIMEOUT",
    "GITHUB_SYNC_WORKERS",
    "KUBECTL_IMAGE",
    "OPENAI_API_KEY",
    "POSTGRES_IMAGE",
    "REALTIME_RETENTION_HOURS",
    "REMOTE_DEPLOY_TIMEOUT",
    "REMOTE_KUBECONFIG",
    "ROLLOUT_TIMEOUT",
    "RUNTIME_ERRORS_RETENTION_DAYS",
    "SSH_PORT",
    "STAGING_DOMAIN",
    "WAIT_ROLLOUT",
    "WAIT_SLA",
];

pub(super) fn is_documented(name: &str) -> bool {
    DOCUMENTED_KEYS.contains(&name)
        || DOCUMENTED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}
