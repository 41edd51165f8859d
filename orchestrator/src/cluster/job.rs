//! The Job of a run (runtime 3.1). A credential reaches it only by key of its Secret, never as a literal (G-12).

use super::names::{common_labels, keys};
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource,
    PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext, PodSpec, PodTemplateSpec,
    ResourceRequirements, SeccompProfile, SecretKeySelector, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Name of the container whose end is the end of the run.
pub const RUN_CONTAINER: &str = "run";
/// Init container that prepares the source tree of a `full-env` run.
const SOURCE_CONTAINER: &str = "source";
/// Where the source tree is mounted.
pub const WORKSPACE: &str = "/workspace";
const WORKSPACE_VOLUME: &str = "workspace";

/// Backstop of a week: the platform owns the run's timer, since Kubernetes cannot pause one (R-21).
const ACTIVE_DEADLINE_SECONDS: i64 = 604_800;
/// Time for the agent to store its session after SIGTERM (R-88).
const GRACE_SECONDS: i64 = 60;
/// The uid of the agent image's ordinary user.
const AGENT_UID: i64 = 1000;

/// Keys of the credentials Secret that the agent reads.
const AGENT_SECRET_KEYS: [&str; 4] = [
    "CODEXK8S_OPENAI_API_KEY",
    "CODEXK8S_CONTEXT7_API_KEY",
    "CODEXK8S_GIT_BOT_TOKEN",
    "CODEXK8S_MCP_BEARER_TOKEN",
];
/// The source step needs only the right to fetch.
const SOURCE_SECRET_KEYS: [&str; 1] = ["CODEXK8S_GIT_BOT_TOKEN"];

/// Where the source tree lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodVolume {
    /// The namespace's claim, prepared by the init container (`full-env`).
    RepositoryCache,
    /// A scratch folder that ends with the Pod (`code-only`).
    Scratch,
}

/// Requests and limits of an agent Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodResources {
    /// CPU request.
    pub cpu_request: String,
    /// Memory request.
    pub memory_request: String,
    /// CPU limit.
    pub cpu_limit: String,
    /// Memory limit.
    pub memory_limit: String,
}

impl Default for PodResources {
    fn default() -> Self {
        Self {
            cpu_request: "500m".to_owned(),
            memory_request: "1Gi".to_owned(),
            cpu_limit: "4".to_owned(),
            memory_limit: "8Gi".to_owned(),
        }
    }
}

/// Everything a Job is made of.
#[derive(Debug, Clone)]
pub struct JobSpecInput {
    /// The run.
    pub run_id: Uuid,
    /// Its project, absent for a run without one.
    pub project_id: Option<Uuid>,
    /// Its correlation id.
    pub correlation_id: String,
    /// Where the Job goes.
    pub namespace: String,
    /// The platform's instance.
    pub instance: String,
    /// Image of the agent.
    pub image: String,
    /// Command words, e.g. `orchestrator agent`.
    pub command: Vec<String>,
    /// Account whose token is mounted; none for `code-only`.
    pub service_account: Option<String>,
    /// Where the source tree lives.
    pub volume: PodVolume,
    /// Environment without credentials, in order.
    pub environment: Vec<(&'static str, String)>,
    /// Name of the credentials Secret.
    pub credentials_secret: String,
    /// How long a finished Job stays.
    pub ttl_seconds: u32,
    /// Repeats by the Job controller; the platform never repeats a run by itself (R-25).
    pub backoff_limit: u32,
    /// Size of the Pod.
    pub resources: PodResources,
}

/// Name of a run's Job: 50 characters, below the limit of 63.
pub fn job_name(run_id: Uuid) -> String {
    format!("codex-k8s-run-{run_id}")
}

/// Builds the Pod of a run that has no Job: a discussion, or a repair (R-41, R-42). It bears the Job's name.
pub fn build_pod(input: &JobSpecInput) -> Pod {
    Pod {
        metadata: metadata(input),
        spec: Some(PodSpec {
            active_deadline_seconds: Some(ACTIVE_DEADLINE_SECONDS),
            ..pod_spec(input)
        }),
        status: None,
    }
}

/// Name, labels and annotations of the Job, or of the Pod that takes its place.
fn metadata(input: &JobSpecInput) -> ObjectMeta {
    let mut labels = common_labels(&input.instance);
    labels.insert(keys::APP_NAME.to_owned(), keys::APP_RUN.to_owned());
    labels.insert(
        keys::APP_MANAGED_BY.to_owned(),
        keys::MANAGED_BY_WORKER.to_owned(),
    );
    labels.insert(keys::RUN_ID.to_owned(), input.run_id.to_string());
    if let Some(project_id) = input.project_id {
        labels.insert(keys::PROJECT_ID.to_owned(), project_id.to_string());
    }
    let annotations = BTreeMap::from([(
        keys::CORRELATION_ID.to_owned(),
        input.correlation_id.clone(),
    )]);
    ObjectMeta {
        name: Some(job_name(input.run_id)),
        namespace: Some(input.namespace.clone()),
        labels: Some(labels),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

/// Builds the Job.
pub fn build_job(input: &JobSpecInput) -> Job {
    let metadata = metadata(input);
    let of_pods = ObjectMeta {
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
        ..ObjectMeta::default()
    };
    Job {
        metadata,
        spec: Some(JobSpec {
            backoff_limit: Some(i32::try_from(input.backoff_limit).unwrap_or(i32::MAX)),
            ttl_seconds_after_finished: Some(i32::try_from(input.ttl_seconds).unwrap_or(i32::MAX)),
            active_deadline_seconds: Some(ACTIVE_DEADLINE_SECONDS),
            pod_failure_policy: Some(ignore_disruption()),
            template: PodTemplateSpec {
                metadata: Some(of_pods),
                spec: Some(pod_spec(input)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// An evicted Pod is replaced once and is no failure of the run (R-174).
fn ignore_disruption() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![PodFailurePolicyRule {
            action: "Ignore".to_owned(),
            on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                type_: "DisruptionTarget".to_owned(),
                status: "True".to_owned(),
            }]),
            on_exit_codes: None,
        }],
    }
}

fn pod_spec(input: &JobSpecInput) -> PodSpec {
    let init_containers = match input.volume {
        PodVolume::RepositoryCache => {
            let mut command = input.command.clone();
            command.push(SOURCE_CONTAINER.to_owned());
            Some(vec![container(
                SOURCE_CONTAINER,
                command,
                &SOURCE_SECRET_KEYS,
                input,
            )])
        }
        PodVolume::Scratch => None,
    };
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        service_account_name: input.service_account.clone(),
        automount_service_account_token: Some(input.service_account.is_some()),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(AGENT_UID),
            run_as_group: Some(AGENT_UID),
            fs_group: Some(AGENT_UID),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        init_containers,
        containers: vec![container(
            RUN_CONTAINER,
            input.command.clone(),
            &AGENT_SECRET_KEYS,
            input,
        )],
        volumes: Some(vec![match input.volume {
            PodVolume::RepositoryCache => Volume {
                name: WORKSPACE_VOLUME.to_owned(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: super::volume::REPO_CACHE_CLAIM.to_owned(),
                    read_only: None,
                }),
                ..Volume::default()
            },
            PodVolume::Scratch => Volume {
                name: WORKSPACE_VOLUME.to_owned(),
                empty_dir: Some(EmptyDirVolumeSource::default()),
                ..Volume::default()
            },
        }]),
        ..PodSpec::default()
    }
}

fn container(
    name: &str,
    command: Vec<String>,
    secret_keys: &[&str],
    input: &JobSpecInput,
) -> Container {
    let plain = input.environment.iter().map(|(key, value)| EnvVar {
        name: (*key).to_owned(),
        value: Some(value.clone()),
        value_from: None,
    });
    let from_secret = secret_keys.iter().map(|key| EnvVar {
        name: (*key).to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: input.credentials_secret.clone(),
                key: (*key).to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
    });
    Container {
        name: name.to_owned(),
        image: Some(input.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(command),
        env: Some(plain.chain(from_secret).collect()),
        resources: Some(ResourceRequirements {
            requests: Some(quantities(
                &input.resources.cpu_request,
                &input.resources.memory_request,
            )),
            limits: Some(quantities(
                &input.resources.cpu_limit,
                &input.resources.memory_limit,
            )),
            claims: None,
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: None,
            }),
            run_as_non_root: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![VolumeMount {
            name: WORKSPACE_VOLUME.to_owned(),
            mount_path: WORKSPACE.to_owned(),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

fn quantities(cpu: &str, memory: &str) -> BTreeMap<String, Quantity> {
    BTreeMap::from([
        ("cpu".to_owned(), Quantity(cpu.to_owned())),
        ("memory".to_owned(), Quantity(memory.to_owned())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(volume: PodVolume, account: Option<&str>) -> JobSpecInput {
        JobSpecInput {
            run_id: Uuid::from_u128(0x0191_e0a2_77c4_7d10_9a51_0242_ac12_0002),
            project_id: Some(Uuid::from_u128(7)),
            correlation_id: "delivery-1".to_owned(),
            namespace: "codex-issue-p-i7-r0191e0a277c4".to_owned(),
            instance: "main".to_owned(),
            image: "codex-k8s/agent-runner:dev".to_owned(),
            command: vec!["orchestrator".to_owned(), "agent".to_owned()],
            service_account: account.map(str::to_owned),
            volume,
            environment: vec![("CODEXK8S_RUN_ID", "r".to_owned())],
            credentials_secret: "codex-run-credentials-0191e0a277c4".to_owned(),
            ttl_seconds: 600,
            backoff_limit: 0,
            resources: PodResources::default(),
        }
    }

    #[test]
    fn a_full_env_job() {
        insta::assert_json_snapshot!(build_job(&input(
            PodVolume::RepositoryCache,
            Some("codex-runner")
        )));
    }

    #[test]
    fn a_code_only_job_has_no_token_no_init_step_and_a_scratch_folder() {
        let job = build_job(&input(PodVolume::Scratch, None));
        let pod = job.spec.and_then(|spec| spec.template.spec).expect("pod");
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(pod.service_account_name, None);
        assert!(pod.init_containers.is_none());
        let volumes = pod.volumes.expect("volumes");
        assert!(volumes.iter().all(|volume| volume.empty_dir.is_some()));
    }

    #[test]
    fn a_pod_of_its_own_is_the_pod_of_the_job_under_the_name_of_the_job() {
        let input = input(PodVolume::Scratch, Some("codex-runner-repair"));
        let (pod, job) = (build_pod(&input), build_job(&input));
        assert_eq!(pod.metadata, job.metadata);
        let spec = pod.spec.expect("pod");
        assert_eq!(spec.active_deadline_seconds, Some(ACTIVE_DEADLINE_SECONDS));
        let of_job = job.spec.and_then(|spec| spec.template.spec).expect("pod");
        assert_eq!(spec.containers, of_job.containers);
        assert_eq!(
            spec.service_account_name.as_deref(),
            Some("codex-runner-repair")
        );
    }

    #[test]
    fn credentials_are_references_only() {
        let job = build_job(&input(PodVolume::RepositoryCache, Some("codex-runner")));
        let pod = job.spec.and_then(|spec| spec.template.spec).expect("pod");
        let containers = pod
            .containers
            .iter()
            .chain(pod.init_containers.iter().flatten());
        let mut referenced = 0;
        for variable in containers.flat_map(|container| container.env.iter().flatten()) {
            if AGENT_SECRET_KEYS.contains(&variable.name.as_str()) {
                referenced += 1;
                assert_eq!(variable.value, None);
                assert!(
                    variable
                        .value_from
                        .as_ref()
                        .is_some_and(|source| source.secret_key_ref.is_some())
                );
            }
        }
        assert_eq!(
            referenced,
            AGENT_SECRET_KEYS.len() + SOURCE_SECRET_KEYS.len()
        );
    }
}
