//! What a Job and its Pods say about a run, as a pure function over what was read.
//!
//! Pods are read first: the Job controller reports an end up to a second later than the Pod does.

use super::job::RUN_CONTAINER;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Why a Pod counts as failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFailure {
    /// Exit code of the agent's container, when it ran.
    pub exit_code: Option<i32>,
    /// Reason in Kubernetes' words.
    pub reason: String,
}

/// State of a run in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunObservation {
    /// Neither Job nor Pod.
    Absent,
    /// Made, not ended.
    Active {
        /// The agent's container runs.
        agent_running: bool,
    },
    /// Ended well.
    Succeeded,
    /// Ended badly, or can never start.
    Failed(PodFailure),
}

/// Waiting reasons that never heal by waiting, besides everything that ends in `BackOff`.
const HOPELESS_WAITING: [&str; 5] = [
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// Judges one run from its Job and all of its Pods.
pub fn observe(job: Option<&Job>, pods: &[&Pod]) -> RunObservation {
    let mut agent_running = false;
    let mut failure = None;
    for pod in pods {
        match observe_pod(pod) {
            PodState::Succeeded => return RunObservation::Succeeded,
            // What ends a Pod that is being deleted is the deletion; its Job says what that means, or is gone too
            //
            PodState::Failed(_) if is_leaving_its_job(pod) => {}
            PodState::Failed(found) => failure = Some(found),
            PodState::Running => agent_running = true,
            PodState::Waiting | PodState::Disrupted => {}
        }
    }
    if let Some(job) = job {
        if has_condition(job, "Complete") {
            return RunObservation::Succeeded;
        }
        if failure.is_none() && has_condition(job, "Failed") {
            let reason = job_failure_reason(job);
            return RunObservation::Failed(PodFailure {
                exit_code: None,
                reason,
            });
        }
    }
    match (failure, job) {
        // Another Pod of the same Job may still run after one was replaced.
        (Some(_), _) if agent_running => RunObservation::Active { agent_running },
        (Some(failure), _) => RunObservation::Failed(failure),
        (None, None) if pods.is_empty() => RunObservation::Absent,
        (None, _) => RunObservation::Active { agent_running },
    }
}

fn is_leaving_its_job(pod: &Pod) -> bool {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    pod.metadata.deletion_timestamp.is_some() && !owners.is_empty()
}

enum PodState {
    Waiting,
    Running,
    Succeeded,
    Failed(PodFailure),
    /// Evicted: the Job's failure policy replaces it.
    Disrupted,
}

fn observe_pod(pod: &Pod) -> PodState {
    let Some(status) = &pod.status else {
        return PodState::Waiting;
    };
    let disrupted = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True");
    let containers = || status.container_statuses.iter().flatten();
    let all = || {
        status
            .init_container_statuses
            .iter()
            .flatten()
            .chain(containers())
    };
    match status.phase.as_deref() {
        Some("Succeeded") => return PodState::Succeeded,
        Some("Failed") if disrupted => return PodState::Disrupted,
        Some("Failed") => {
            let ended = all()
                .filter_map(|container| terminated(container))
                .find(|(_, code, _)| *code != 0);
            let reason = status
                .reason
                .clone()
                .or(ended.as_ref().map(|(_, _, reason)| reason.clone()));
            return PodState::Failed(PodFailure {
                exit_code: ended.map(|(_, code, _)| code),
                reason: reason.unwrap_or_else(|| "PodFailed".to_owned()),
            });
        }
        _ => {}
    }
    if let Some((_, code, reason)) = containers()
        .filter_map(terminated)
        .find(|(name, _, _)| name == RUN_CONTAINER)
    {
        // The container's end is final before the Pod's phase follows, since it is never restarted.
        return match (code, disrupted) {
            (0, _) => PodState::Succeeded,
            (_, true) => PodState::Disrupted,
            (code, false) => PodState::Failed(PodFailure {
                exit_code: Some(code),
                reason,
            }),
        };
    }
    let hopeless = all()
        .filter_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone())
        .find(|reason| reason.ends_with("BackOff") || HOPELESS_WAITING.contains(&reason.as_str()));
    if let Some(reason) = hopeless {
        return PodState::Failed(PodFailure {
            exit_code: None,
            reason,
        });
    }
    let running = containers().any(|container| {
        container.name == RUN_CONTAINER
            && container
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
    });
    if running {
        PodState::Running
    } else {
        PodState::Waiting
    }
}

fn terminated(container: &ContainerStatus) -> Option<(String, i32, String)> {
    let ended = container.state.as_ref()?.terminated.as_ref()?;
    let reason = ended.reason.clone().unwrap_or_else(|| "Error".to_owned());
    Some((container.name.clone(), ended.exit_code, reason))
}

fn has_condition(job: &Job, kind: &str) -> bool {
    conditions(job).any(|condition| condition.type_ == kind && condition.status == "True")
}

fn job_failure_reason(job: &Job) -> String {
    conditions(job)
        .find(|condition| condition.type_ == "Failed")
        .and_then(|condition| condition.reason.clone())
        .unwrap_or_else(|| "JobFailed".to_owned())
}

fn conditions(job: &Job) -> impl Iterator<Item = &k8s_openapi::api::batch::v1::JobCondition> {
    job.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).expect("pod")
    }

    fn job(status: serde_json::Value) -> Job {
        serde_json::from_value(json!({"metadata": {"name": "j"}, "status": status})).expect("job")
    }

    fn waiting(reason: &str) -> Pod {
        pod(json!({"phase": "Pending", "containerStatuses": [{
            "name": "run", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason}}
        }]}))
    }

    fn ended(container: &str, code: i32, phase: &str) -> Pod {
        pod(json!({"phase": phase, "containerStatuses": [{
            "name": container, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "reason": "Error"}}
        }]}))
    }

    #[test]
    fn nothing_is_absent_and_a_bare_job_is_active() {
        assert_eq!(observe(None, &[]), RunObservation::Absent);
        assert_eq!(
            observe(Some(&job(json!({}))), &[]),
            RunObservation::Active {
                agent_running: false
            }
        );
    }

    #[test]
    fn exit_codes_are_kept() {
        assert_eq!(
            observe(None, &[&ended("run", 0, "Running")]),
            RunObservation::Succeeded
        );
        let failed = observe(None, &[&ended("run", 42, "Failed")]);
        assert_eq!(
            failed,
            RunObservation::Failed(PodFailure {
                exit_code: Some(42),
                reason: "Error".to_owned()
            })
        );
    }

    #[test]
    fn hopeless_waits_fail_and_ordinary_ones_do_not() {
        for reason in [
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "CreateContainerConfigError",
            "CreateContainerError",
            "RunContainerError",
            "CrashLoopBackOff",
            "AnythingBackOff",
        ] {
            let seen = observe(None, &[&waiting(reason)]);
            assert_eq!(
                seen,
                RunObservation::Failed(PodFailure {
                    exit_code: None,
                    reason: reason.to_owned()
                })
            );
        }
        for reason in ["ContainerCreating", "PodInitializing"] {
            assert_eq!(
                observe(None, &[&waiting(reason)]),
                RunObservation::Active {
                    agent_running: false
                }
            );
        }
    }

    #[test]
    fn a_pod_that_goes_with_its_job_is_no_failure() {
        let mut leaving = ended(RUN_CONTAINER, 143, "Failed");
        leaving.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        assert!(
            matches!(observe(None, &[&leaving]), RunObservation::Failed(_)),
            "a Pod without a Job has nobody else who could say how it ended"
        );
        leaving.metadata.owner_references = serde_json::from_value(json!([
            {"apiVersion": "batch/v1", "kind": "Job", "name": "run", "uid": "1"}
        ]))
        .unwrap();
        let waits = RunObservation::Active {
            agent_running: false,
        };
        assert_eq!(observe(None, &[&leaving]), waits);
        assert_eq!(observe(Some(&job(json!({}))), &[&leaving]), waits);
        let failed = job(json!({"conditions": [
            {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
        ]}));
        assert!(matches!(
            observe(Some(&failed), &[&leaving]),
            RunObservation::Failed(_)
        ));
    }

    #[test]
    fn an_evicted_pod_is_no_failure() {
        let mut evicted = ended("run", 143, "Failed");
        evicted.status.as_mut().expect("status").conditions =
            serde_json::from_value(json!([{"type": "DisruptionTarget", "status": "True"}]))
                .expect("conditions");
        assert_eq!(
            observe(Some(&job(json!({}))), &[&evicted]),
            RunObservation::Active {
                agent_running: false
            }
        );
    }

    #[test]
    fn a_failed_init_step_fails_the_run() {
        let failed = pod(json!({"phase": "Failed", "initContainerStatuses": [{
            "name": "source", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 1, "reason": "Error"}}
        }]}));
        assert_eq!(
            observe(None, &[&failed]),
            RunObservation::Failed(PodFailure {
                exit_code: Some(1),
                reason: "Error".to_owned()
            })
        );
    }

    #[test]
    fn job_conditions_count_when_no_pod_is_left() {
        let complete = job(json!({"conditions": [{"type": "Complete", "status": "True"}]}));
        assert_eq!(observe(Some(&complete), &[]), RunObservation::Succeeded);
        let failed = job(
            json!({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}),
        );
        assert_eq!(
            observe(Some(&failed), &[]),
            RunObservation::Failed(PodFailure {
                exit_code: None,
                reason: "DeadlineExceeded".to_owned()
            })
        );
    }
}
