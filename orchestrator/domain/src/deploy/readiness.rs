//! When what was applied is ready.

use serde_json::Value;

use super::manifest::ManifestKind;

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// What was asked for is there.
    Ready,
    /// Not yet; what was seen.
    NotYet(String),
    /// It never will be; what was seen.
    Failed(String),
}

/// Reads an object as the API server shows it. Kinds without work of their own are ready once they exist.
pub fn readiness(kind: ManifestKind, object: &Value) -> Readiness {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let status = |field: &str| number(&format!("/status/{field}")).unwrap_or(0);
    let observed = number("/status/observedGeneration").unwrap_or(0)
        >= number("/metadata/generation").unwrap_or(0);
    let replicas = number("/spec/replicas").unwrap_or(1);
    let counted = |ready: i64, updated: i64, all: i64, wanted: i64| {
        if observed && ready == wanted && updated == wanted && all == wanted {
            Readiness::Ready
        } else {
            Readiness::NotYet(format!("{} of {wanted} replicas ready", ready.min(updated)))
        }
    };
    match kind {
        ManifestKind::Deployment => counted(
            status("availableReplicas"),
            status("updatedReplicas"),
            status("replicas"),
            replicas,
        ),
        ManifestKind::StatefulSet => counted(
            status("readyReplicas"),
            status("updatedReplicas"),
            status("replicas"),
            replicas,
        ),
        ManifestKind::DaemonSet => {
            let wanted = status("desiredNumberScheduled");
            counted(
                status("numberReady"),
                status("updatedNumberScheduled"),
                wanted,
                wanted,
            )
        }
        ManifestKind::Job => job(object),
        ManifestKind::ConfigMap
        | ManifestKind::CronJob
        | ManifestKind::Ingress
        | ManifestKind::PersistentVolumeClaim
        | ManifestKind::Service => Readiness::Ready,
    }
}

fn job(object: &Value) -> Readiness {
    let conditions = object.pointer("/status/conditions");
    let holds = |name: &str| {
        conditions
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == name && condition["status"] == "True")
    };
    if holds("Complete").is_some() {
        return Readiness::Ready;
    }
    match holds("Failed") {
        Some(condition) => Readiness::Failed(
            condition["reason"]
                .as_str()
                .unwrap_or("no reason")
                .to_owned(),
        ),
        None => Readiness::NotYet("it has not ended".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_workload_is_ready_when_all_of_its_newest_replicas_are() {
        let deployment = |observed: i64, updated: i64, available: i64, all: i64| {
            json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": {
                "observedGeneration": observed, "updatedReplicas": updated,
                "availableReplicas": available, "replicas": all,
            }})
        };
        let of = |object: &Value| readiness(ManifestKind::Deployment, object);
        assert_eq!(of(&deployment(2, 2, 2, 2)), Readiness::Ready);
        for waiting in [
            deployment(1, 2, 2, 2),
            deployment(2, 1, 2, 2),
            deployment(2, 2, 1, 2),
            deployment(2, 2, 2, 3),
        ] {
            assert!(matches!(of(&waiting), Readiness::NotYet(_)), "{waiting}");
        }
        assert_eq!(
            of(&json!({"metadata": {"generation": 1}})),
            Readiness::NotYet("0 of 1 replicas ready".to_owned())
        );
        let stateful = json!({"metadata": {"generation": 1}, "status": {
            "observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1, "replicas": 1}});
        assert_eq!(
            readiness(ManifestKind::StatefulSet, &stateful),
            Readiness::Ready
        );
        let everywhere = json!({"metadata": {"generation": 1}, "status": {
            "observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 2}});
        assert_eq!(
            readiness(ManifestKind::DaemonSet, &everywhere),
            Readiness::NotYet("2 of 3 replicas ready".to_owned())
        );
    }

    #[test]
    fn a_job_is_ready_at_its_good_end() {
        let job = |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True", "reason": "BackoffLimitExceeded"}]}});
        let of = |object: &Value| readiness(ManifestKind::Job, object);
        assert_eq!(of(&job("Complete")), Readiness::Ready);
        assert_eq!(
            of(&job("Failed")),
            Readiness::Failed("BackoffLimitExceeded".to_owned())
        );
        assert!(matches!(of(&json!({})), Readiness::NotYet(_)));
        assert_eq!(
            readiness(ManifestKind::ConfigMap, &json!({})),
            Readiness::Ready
        );
    }
}
