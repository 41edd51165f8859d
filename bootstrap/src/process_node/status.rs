//! The status of a Pod, computed from what its containers did. Pure, so that tests need no processes.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// What a container does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not started, or between two starts.
    Waiting {
        reason: &'static str,
        message: Option<String>,
    },
    /// Its process runs.
    Running { started: Timestamp },
    /// Its process ended and is not started again at once.
    Terminated(Termination),
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Termination {
    pub(super) exit_code: i32,
    pub(super) reason: &'static str,
    pub(super) message: Option<String>,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
}

/// All that is known about one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerRecord {
    pub(super) progress: Progress,
    pub(super) last: Option<Termination>,
    pub(super) restarts: i32,
    pub(super) id: Option<String>,
}

impl Default for ContainerRecord {
    fn default() -> Self {
        Self {
            progress: Progress::Waiting {
                reason: "ContainerCreating",
                message: None,
            },
            last: None,
            restarts: 0,
            id: None,
        }
    }
}

impl ContainerRecord {
    fn exit_code(&self) -> Option<i32> {
        match &self.progress {
            Progress::Terminated(termination) => Some(termination.exit_code),
            _ => None,
        }
    }
}

/// An end that the node decided, not the processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForcedEnd {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Facts a status is made of.
pub(super) struct StatusFacts<'a> {
    pub(super) pod: &'a Pod,
    pub(super) init: &'a [ContainerRecord],
    pub(super) main: &'a [ContainerRecord],
    pub(super) address: &'a str,
    pub(super) started: Timestamp,
    pub(super) now: Timestamp,
    pub(super) forced_end: Option<&'a ForcedEnd>,
    /// No container is started again.
    pub(super) stopping: bool,
    pub(super) previous: Option<&'a PodStatus>,
}

/// Whether a container that ended with this code is started again under the Pod's policy.
pub(super) fn restarts_after(policy: &str, exit_code: i32, is_init: bool) -> bool {
    match policy {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        // An init container that succeeded is done under every policy.
        _ => !is_init || exit_code != 0,
    }
}

/// The Pod's restart policy, `Always` by default.
pub(super) fn restart_policy(pod: &Pod) -> &str {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref())
        .unwrap_or("Always")
}

/// Computes the whole status.
pub(super) fn compute(facts: &StatusFacts<'_>) -> PodStatus {
    let phase = phase(facts);
    let spec = facts.pod.spec.as_ref();
    let init_specs = spec
        .and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default();
    let main_specs = spec
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let initialized = facts
        .init
        .iter()
        .all(|record| record.exit_code() == Some(0));
    let running = facts
        .main
        .iter()
        .all(|record| matches!(record.progress, Progress::Running { .. }));
    let finished = matches!(phase, "Succeeded" | "Failed");
    PodStatus {
        phase: Some(phase.to_owned()),
        reason: facts.forced_end.map(|end| end.reason.to_owned()),
        message: facts.forced_end.map(|end| end.message.clone()),
        host_ip: Some(facts.address.to_owned()),
        host_ips: Some(vec![HostIP {
            ip: facts.address.to_owned(),
        }]),
        pod_ip: Some(facts.address.to_owned()),
        pod_ips: Some(vec![PodIP {
            ip: facts.address.to_owned(),
        }]),
        start_time: Some(Time(facts.started)),
        qos_class: facts
            .pod
            .status
            .as_ref()
            .and_then(|status| status.qos_class.clone()),
        conditions: Some(conditions(facts, initialized, running, finished, phase)),
        init_container_statuses: (!init_specs.is_empty())
            .then(|| container_statuses(init_specs, facts.init, true)),
        container_statuses: Some(container_statuses(main_specs, facts.main, false)),
        ..PodStatus::default()
    }
}

fn phase(facts: &StatusFacts<'_>) -> &'static str {
    if facts.forced_end.is_some() {
        return "Failed";
    }
    let policy = if facts.stopping {
        "Never"
    } else {
        restart_policy(facts.pod)
    };
    for record in facts.init {
        match record.exit_code() {
            Some(0) => {}
            Some(code) if !restarts_after(policy, code, true) => return "Failed",
            _ => return if facts.stopping { "Failed" } else { "Pending" },
        }
    }
    let codes: Vec<Option<i32>> = facts.main.iter().map(ContainerRecord::exit_code).collect();
    let for_good =
        |code: &Option<i32>| code.is_some_and(|code| !restarts_after(policy, code, false));
    if !codes.is_empty() && codes.iter().all(for_good) {
        return if codes.iter().all(|code| *code == Some(0)) {
            "Succeeded"
        } else {
            "Failed"
        };
    }
    let was_started = |record: &ContainerRecord| {
        record.last.is_some() || !matches!(record.progress, Progress::Waiting { .. })
    };
    match (facts.main.iter().any(was_started), facts.stopping) {
        (true, _) => "Running",
        // Deleted before it ever started.
        (false, true) => "Failed",
        (false, false) => "Pending",
    }
}

fn conditions(
    facts: &StatusFacts<'_>,
    initialized: bool,
    running: bool,
    finished: bool,
    phase: &str,
) -> Vec<PodCondition> {
    let reason = match phase {
        "Succeeded" => Some("PodCompleted"),
        "Failed" => Some("PodFailed"),
        _ if !running => Some("ContainersNotReady"),
        _ => None,
    };
    let ready = running && initialized && !finished;
    let own = [
        (
            "Initialized",
            initialized,
            (!initialized).then_some("ContainersNotInitialized"),
        ),
        ("Ready", ready, reason),
        ("ContainersReady", ready, reason),
    ];
    let previous = facts
        .previous
        .or(facts.pod.status.as_ref())
        .and_then(|status| status.conditions.as_deref());
    // Conditions of others, such as the scheduler's, are kept: the patch replaces the whole list.
    let mut conditions: Vec<PodCondition> = previous
        .unwrap_or_default()
        .iter()
        .filter(|condition| own.iter().all(|(name, ..)| *name != condition.type_))
        .cloned()
        .collect();
    for (name, holds, reason) in own {
        let value = if holds { "True" } else { "False" };
        let since = previous
            .unwrap_or_default()
            .iter()
            .find(|condition| condition.type_ == name && condition.status == value)
            .and_then(|condition| condition.last_transition_time.clone());
        conditions.push(PodCondition {
            type_: name.to_owned(),
            status: value.to_owned(),
            reason: reason.filter(|_| !holds).map(str::to_owned),
            last_transition_time: Some(since.unwrap_or(Time(facts.now))),
            ..PodCondition::default()
        });
    }
    conditions
}

fn container_statuses(
    specs: &[Container],
    records: &[ContainerRecord],
    init: bool,
) -> Vec<ContainerStatus> {
    specs
        .iter()
        .zip(records)
        .map(|(spec, record)| {
            let running = matches!(record.progress, Progress::Running { .. });
            ContainerStatus {
                name: spec.name.clone(),
                image: spec.image.clone().unwrap_or_default(),
                image_id: String::new(),
                ready: if init {
                    record.exit_code() == Some(0)
                } else {
                    running
                },
                started: Some(running),
                restart_count: record.restarts,
                container_id: record.id.clone(),
                state: Some(state(record)),
                last_state: record.last.as_ref().map(|termination| ContainerState {
                    terminated: Some(terminated(termination, record.id.as_ref())),
                    ..ContainerState::default()
                }),
                ..ContainerStatus::default()
            }
        })
        .collect()
}

fn state(record: &ContainerRecord) -> ContainerState {
    match &record.progress {
        Progress::Waiting { reason, message } => ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some((*reason).to_owned()),
                message: message.clone(),
            }),
            ..ContainerState::default()
        },
        Progress::Running { started } => ContainerState {
            running: Some(ContainerStateRunning {
                started_at: Some(Time(*started)),
            }),
            ..ContainerState::default()
        },
        Progress::Terminated(termination) => ContainerState {
            terminated: Some(terminated(termination, record.id.as_ref())),
            ..ContainerState::default()
        },
    }
}

fn terminated(termination: &Termination, id: Option<&String>) -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: termination.exit_code,
        reason: Some(termination.reason.to_owned()),
        message: termination.message.clone(),
        started_at: Some(Time(termination.started)),
        finished_at: Some(Time(termination.finished)),
        container_id: id.cloned(),
        signal: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(policy: &str, with_init: bool) -> Pod {
        let init = if with_init {
            json!([{"name": "source", "command": ["true"]}])
        } else {
            json!([])
        };
        serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {"restartPolicy": policy, "initContainers": init, "containers": [{"name": "run", "command": ["true"]}]},
            "status": {"conditions": [{"type": "PodScheduled", "status": "True"}]},
        }))
        .expect("a pod")
    }

    fn ended(code: i32) -> ContainerRecord {
        let termination = Termination {
            exit_code: code,
            reason: if code == 0 { "Completed" } else { "Error" },
            message: None,
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::UNIX_EPOCH,
        };
        ContainerRecord {
            progress: Progress::Terminated(termination),
            ..ContainerRecord::default()
        }
    }

    fn running() -> ContainerRecord {
        ContainerRecord {
            progress: Progress::Running {
                started: Timestamp::UNIX_EPOCH,
            },
            ..ContainerRecord::default()
        }
    }

    fn status(
        pod: &Pod,
        init: &[ContainerRecord],
        main: &[ContainerRecord],
        stopping: bool,
    ) -> PodStatus {
        compute(&StatusFacts {
            pod,
            init,
            main,
            address: "127.0.0.9",
            started: Timestamp::UNIX_EPOCH,
            now: Timestamp::UNIX_EPOCH,
            forced_end: None,
            stopping,
            previous: None,
        })
    }

    fn phase_of(policy: &str, main: ContainerRecord, stopping: bool) -> String {
        status(&pod(policy, false), &[], &[main], stopping)
            .phase
            .expect("a phase")
    }

    #[test]
    fn the_phase_follows_the_containers_and_the_policy() {
        assert_eq!(
            phase_of("Never", ContainerRecord::default(), false),
            "Pending"
        );
        assert_eq!(phase_of("Never", running(), false), "Running");
        assert_eq!(phase_of("Never", ended(0), false), "Succeeded");
        assert_eq!(phase_of("Never", ended(42), false), "Failed");
        assert_eq!(phase_of("OnFailure", ended(1), false), "Running");
        assert_eq!(phase_of("OnFailure", ended(0), false), "Succeeded");
        assert_eq!(phase_of("Always", ended(0), false), "Running");
    }

    #[test]
    fn a_stopped_pod_ends_whatever_its_policy() {
        assert_eq!(phase_of("Always", ended(143), true), "Failed");
        assert_eq!(phase_of("Always", ended(0), true), "Succeeded");
        assert_eq!(
            phase_of("Always", ContainerRecord::default(), true),
            "Failed"
        );
    }

    #[test]
    fn init_containers_come_first() {
        let pod = pod("Never", true);
        let waiting = [ContainerRecord::default()];
        assert_eq!(
            status(&pod, &[running()], &waiting, false).phase.as_deref(),
            Some("Pending")
        );
        assert_eq!(
            status(&pod, &[ended(1)], &waiting, false).phase.as_deref(),
            Some("Failed")
        );
        assert_eq!(
            status(&pod, &[ended(0)], &[running()], false)
                .phase
                .as_deref(),
            Some("Running")
        );
    }

    #[test]
    fn foreign_conditions_are_kept_and_ready_is_true_while_running() {
        let status = status(&pod("Never", false), &[], &[running()], false);
        let conditions = status.conditions.expect("conditions");
        let value = |name: &str| {
            conditions
                .iter()
                .find(|condition| condition.type_ == name)
                .map(|found| found.status.as_str())
        };
        assert_eq!(value("PodScheduled"), Some("True"));
        assert_eq!(value("Ready"), Some("True"));
        assert_eq!(value("Initialized"), Some("True"));
    }

    #[test]
    fn a_forced_end_names_its_reason() {
        let pod = pod("Never", false);
        let end = ForcedEnd {
            reason: "DeadlineExceeded",
            message: "too long".to_owned(),
        };
        let status = compute(&StatusFacts {
            pod: &pod,
            init: &[],
            main: &[ended(143)],
            address: "127.0.0.9",
            started: Timestamp::UNIX_EPOCH,
            now: Timestamp::UNIX_EPOCH,
            forced_end: Some(&end),
            stopping: true,
            previous: None,
        });
        assert_eq!(status.phase.as_deref(), Some("Failed"));
        assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    }

    #[test]
    fn restart_policy_table() {
        assert!(restarts_after("Always", 0, false));
        assert!(!restarts_after("Always", 0, true));
        assert!(restarts_after("Always", 1, true));
        assert!(restarts_after("OnFailure", 1, false));
        assert!(!restarts_after("OnFailure", 0, false));
        assert!(!restarts_after("Never", 1, false));
    }
}
