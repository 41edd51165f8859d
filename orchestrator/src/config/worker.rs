//! The worker loop, its leases and the Job it makes.
use std::collections::BTreeMap;
use std::time::Duration;

use super::{ConfigError, Environment};

/// `K_WORKER_*` of runtime 6.2.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    pub worker_id: String,
    pub namespace: String,
    pub pod_name: String,
    pub production_namespace: String,
    pub staging_namespace: String,
    /// Where `code-only` Jobs run.
    pub code_only_namespace: String,
    pub run_namespace_prefix: String,
    pub run_namespace_cleanup: bool,
    /// How long a namespace is leased when neither its project nor a role says so.
    pub run_namespace_ttl: Duration,
    /// The same by role, as configured: `dev=24h,qa=48h`.
    pub run_namespace_ttl_by_role: BTreeMap<String, Duration>,
    pub claim_limit: u32,
    pub running_check_limit: u32,
    pub slots_per_project: u32,
    pub slot_lease_ttl: Duration,
    pub run_lease_ttl: Duration,
    pub heartbeat_interval: Duration,
    pub instance_ttl: Duration,
    pub stale_lease_sweep_limit: u32,
    pub namespace_lease_sweep_limit: u32,
    pub tick_timeout: Duration,
    pub runtime_prepare_retry_timeout: Duration,
    pub runtime_prepare_retry_interval: Duration,
    pub run_timeout: Duration,
    pub job_image: String,
    pub job_image_fallback: Option<String>,
    pub job_command: Vec<String>,
    pub job_ttl_seconds: u32,
    pub job_backoff_limit: u32,
    pub job_cpu_request: String,
    pub job_memory_request: String,
    pub job_cpu_limit: String,
    pub job_memory_limit: String,
    pub quota_pods: u32,
    pub k8s_api_cidr: Option<String>,
    pub k8s_api_port: u16,
}

/// Default image of an agent; the process node does not honour it.
const JOB_IMAGE: &str = "codex-k8s/agent-runner:dev";
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl WorkerConfig {
    pub(super) fn load(instance: &str, environment: &Environment) -> Result<Self, ConfigError> {
        let suffixed = |name: &str| {
            if instance == "main" {
                name.to_owned()
            } else {
                format!("{name}-{instance}")
            }
        };
        let production_namespace =
            environment.text_or("PRODUCTION_NAMESPACE", &suffixed("codex-k8s-prod"));
        let staging_namespace =
            environment.text_or("STAGING_NAMESPACE", &suffixed("codex-k8s-ai-staging"));
        let platform_namespace = if environment.text_or("PLATFORM_ENV", "staging") == "production" {
            &production_namespace
        } else {
            &staging_namespace
        };
        let config = Self {
            worker_id: environment
                .text("WORKER_ID")
                .unwrap_or_else(default_worker_id),
            namespace: environment.text_or("WORKER_K8S_NAMESPACE", platform_namespace),
            pod_name: environment.text_or("POD_NAME", ""),
            code_only_namespace: environment.text_or(
                "WORKER_CODE_ONLY_NAMESPACE",
                &suffixed("codex-k8s-code-runs"),
            ),
            run_namespace_prefix: environment.text_or("WORKER_RUN_NAMESPACE_PREFIX", "codex-issue"),
            run_namespace_cleanup: environment.parsed("WORKER_RUN_NAMESPACE_CLEANUP", true)?,
            run_namespace_ttl: environment.duration("WORKER_RUN_NAMESPACE_TTL", DAY)?,
            run_namespace_ttl_by_role: environment
                .durations_by_name("WORKER_RUN_NAMESPACE_TTL_BY_ROLE")?,
            claim_limit: environment.parsed("WORKER_CLAIM_LIMIT", 10)?,
            running_check_limit: environment.parsed("WORKER_RUNNING_CHECK_LIMIT", 200)?,
            slots_per_project: environment.parsed("WORKER_SLOTS_PER_PROJECT", 2)?,
            slot_lease_ttl: environment.duration("WORKER_SLOT_LEASE_TTL", 10 * MINUTE)?,
            run_lease_ttl: environment.duration("WORKER_RUN_LEASE_TTL", 45 * MINUTE)?,
            heartbeat_interval: environment
                .duration("WORKER_HEARTBEAT_INTERVAL", Duration::from_secs(15))?,
            instance_ttl: environment.duration("WORKER_INSTANCE_TTL", MINUTE)?,
            stale_lease_sweep_limit: environment.parsed("WORKER_STALE_LEASE_SWEEP_LIMIT", 200)?,
            namespace_lease_sweep_limit: environment
                .parsed("WORKER_NAMESPACE_LEASE_SWEEP_LIMIT", 200)?,
            tick_timeout: environment.duration("WORKER_TICK_TIMEOUT", 45 * MINUTE)?,
            runtime_prepare_retry_timeout: environment
                .duration("WORKER_RUNTIME_PREPARE_RETRY_TIMEOUT", 30 * MINUTE)?,
            runtime_prepare_retry_interval: environment.duration(
                "WORKER_RUNTIME_PREPARE_RETRY_INTERVAL",
                Duration::from_secs(3),
            )?,
            run_timeout: environment
                .duration("WORKER_RUN_TIMEOUT_SECONDS", Duration::from_secs(18_000))?,
            job_image: environment.text_or("WORKER_JOB_IMAGE", JOB_IMAGE),
            job_image_fallback: environment.text("WORKER_JOB_IMAGE_FALLBACK"),
            job_command: environment
                .text_or("WORKER_JOB_COMMAND", "orchestrator agent")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            job_ttl_seconds: environment.parsed("WORKER_JOB_TTL_SECONDS", 600)?,
            job_backoff_limit: environment.parsed("WORKER_JOB_BACKOFF_LIMIT", 0)?,
            job_cpu_request: environment.text_or("WORKER_JOB_CPU_REQUEST", "500m"),
            job_memory_request: environment.text_or("WORKER_JOB_MEMORY_REQUEST", "1Gi"),
            job_cpu_limit: environment.text_or("WORKER_JOB_CPU_LIMIT", "4"),
            job_memory_limit: environment.text_or("WORKER_JOB_MEMORY_LIMIT", "8Gi"),
            quota_pods: environment.parsed("WORKER_RUN_QUOTA_PODS", 20)?,
            k8s_api_cidr: environment.text("K8S_API_CIDR"),
            k8s_api_port: environment.parsed("K8S_API_PORT", 6443)?,
            production_namespace,
            staging_namespace,
        };
        if config.instance_ttl <= config.heartbeat_interval {
            return Err(ConfigError::Invalid {
                name: "WORKER_INSTANCE_TTL".to_owned(),
                reason: "it must be longer than the heartbeat interval (R-11)".to_owned(),
            });
        }
        Ok(config)
    }
}

fn default_worker_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty());
    format!(
        "{}-{}",
        host.as_deref().unwrap_or("worker"),
        std::process::id()
    )
}
