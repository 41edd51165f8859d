//! Journals of a run without a defect, for the tests of verdict and coverage.
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::canary::CanarySearch;
use crate::evidence::{
    Capability, CapabilityState, GateRun, Observation, ObservationSource, PhaseFacts, ScenarioKey,
    ScenarioResult, ScenarioState, StepResult, StepState, TargetPhase,
};
use crate::journals::{
    AuditRecord, CertificateRoute, GithubCertificate, Journals, LaneSlices, Line, SelfCheck,
};
use crate::spec::Specification;

pub(crate) const THEN: &str = "the run ends as succeeded";

pub(crate) fn at() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

pub(crate) fn line<T>(file: &str, number: usize, value: T) -> Line<T> {
    Line {
        file: file.into(),
        number,
        value,
    }
}

pub(crate) fn result(id: &str, specification: &Specification) -> ScenarioResult {
    ScenarioResult {
        key: ScenarioKey::new(id, 10),
        feature: specification.scenario(id).expect(id).feature.clone(),
        file: "features/x.feature".into(),
        name: format!("scenario {id}"),
        tags: vec![id.into()],
        state: ScenarioState::Passed,
        reason: None,
        steps: vec![StepResult {
            keyword: "Then".into(),
            text: THEN.into(),
            state: StepState::Passed,
            error: None,
            line: 12,
            started_at: at(),
            duration_ms: 5,
        }],
        runs: Vec::new(),
        repositories: vec![format!("acme/{}", id.to_lowercase())],
        instance: "common".into(),
        kept: Vec::new(),
        announced: Vec::new(),
        started_at: at(),
        finished_at: at(),
    }
}

pub(crate) fn observation(id: &str) -> Observation {
    Observation {
        key: ScenarioKey::new(id, 10),
        step: THEN.into(),
        rules: vec!["L-73".into()],
        subject: "run".into(),
        expected: "succeeded".into(),
        seen: "succeeded".into(),
        ok: true,
        source: ObservationSource::Kubernetes,
        query: "kubectl get job".into(),
        contradiction: false,
        at: at(),
    }
}

pub(crate) fn created(name: &str) -> AuditRecord {
    AuditRecord {
        at: at(),
        verb: "create".into(),
        user: "codex-k8s-worker".into(),
        resource: "namespaces".into(),
        namespace: String::new(),
        name: name.into(),
        subresource: String::new(),
        code: 201,
        dry_run: false,
    }
}

pub(crate) const NAMESPACE: &str = "codex-issue-aaaaaaaaaaaa-i1-r0123456789ab";

pub(crate) fn green(specification: &Specification) -> Journals {
    let ids = [
        "SL-07", "RL-01", "LC-08", "LC-09", "LC-10", "RL-11", "PH-01", "PH-02",
    ];
    let finalised = AuditRecord {
        verb: "update".into(),
        user: "system:serviceaccount:kube-system:namespace-controller".into(),
        subresource: "finalize".into(),
        code: 200,
        ..created(NAMESPACE)
    };
    let lane = LaneSlices {
        events: vec![line(
            "journals/postgres/common/flow_events.ndjson",
            1,
            json!({"id": 1, "event_type": "webhook.ignored", "actor_type": "system", "actor_id": "github-webhook", "created_at": "2026-11-21T12:00:00Z",
                   "payload": {"reason": "issue_trigger_label_conflict", "conflicting_labels": ["run:dev", "run:plan"]}}),
        )],
        ..LaneSlices::default()
    };
    let phase = |name: &str| TargetPhase {
        name: name.into(),
        started_at: at(),
        duration_ms: 10,
        ok: true,
        facts: vec![PhaseFacts {
            subject: "processes".into(),
            result: "none left".into(),
            ok: true,
            duration_ms: 1,
        }],
    };
    Journals {
        gate_run: GateRun {
            gate_run_id: "run-1".into(),
            target: "embedded".into(),
            host: "Debian 12".into(),
            revision: "a".repeat(40),
            dirty: false,
            binary_digest: "sha256:00".into(),
            versions: BTreeMap::new(),
            origins: BTreeMap::new(),
            stand_ins: vec!["GitHub".into()],
            settings: BTreeMap::new(),
            features: vec!["stage_lifecycle".into(), "label_conflicts".into()],
            tags: None,
            lanes: Vec::new(),
            phases: vec![phase("up"), phase("down")],
            started_at: at(),
            finished_at: Some(at()),
            interrupted: None,
            sample: false,
            kept: false,
        },
        capabilities: Some(vec![Capability {
            name: "pods".into(),
            state: CapabilityState::Present,
            reason: "a Job ran".into(),
        }]),
        scenarios: ids
            .iter()
            .enumerate()
            .map(|(index, id)| {
                line(
                    "journals/scenarios.ndjson",
                    index + 1,
                    result(id, specification),
                )
            })
            .collect(),
        observations: ids
            .iter()
            .enumerate()
            .map(|(index, id)| line("journals/observations.ndjson", index + 1, observation(id)))
            .collect(),
        github: Vec::new(),
        audit: Some(vec![
            line("journals/audit.ndjson", 1, created(NAMESPACE)),
            line("journals/audit.ndjson", 2, finalised),
        ]),
        lanes: BTreeMap::from([("common".into(), lane)]),
        logs: vec![(
            "journals/orchestrator/common/worker.log".into(),
            "{\"level\":\"INFO\"}".into(),
        )],
        canaries: Some(CanarySearch {
            planted_found: true,
            ..CanarySearch::default()
        }),
        certificate: Some(GithubCertificate {
            answers: 1,
            deliveries: 1,
            routes: vec![CertificateRoute {
                clients: ["octocrab".into()].into(),
                answers: [("200".into(), json!({"against": "#/x"}))].into(),
                ..CertificateRoute::default()
            }],
            ..GithubCertificate::default()
        }),
        self_check: Some(SelfCheck {
            at: at(),
            revision: "a".repeat(40),
            dirty: false,
            passed: true,
            vacuous: Vec::new(),
        }),
        crash_sweep: None,
        risks: Vec::new(),
        baseline: None,
    }
}
