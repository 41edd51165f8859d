//! Writes a sample bundle from made-up journals, so that the report can be looked at without running anything.
//! `cargo run --example sample -- FOLDER [broken]`: `broken` adds a failure, a leak and a gap.
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use reports::bundle;
use reports::canary::{CanarySearcher, Sink};
use reports::evidence::{
    Capability, CapabilityState, GateRun, LaneFacts, Observation, ObservationSource, PhaseFacts,
    Recorder, ScenarioKey, ScenarioResult, ScenarioState, SecretValue, StepResult, StepState,
    TargetPhase,
};
use reports::journals::{CertificateOrigin, CertificateRoute, GithubCertificate};
use reports::spec::Specification;
use reports::verdict::Criteria;
use serde_json::{Value, json};

/// Scenarios that the sample plays.
const PLAYED: &[&str] = &[
    "SL-07", "SL-08", "SL-16", "SL-17", "RV-01", "RV-07", "RV-17", "RV-20", "LC-01", "LC-02",
    "LC-03", "LC-05", "LC-08", "LC-09", "LC-10", "WH-01", "WH-02", "WH-04", "WH-06", "WH-08",
    "RL-01", "RL-11", "RL-17", "NI-01", "TR-01", "HY-01", "HY-02", "WR-01", "WR-02", "PH-01",
    "PH-02", "PH-03",
];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: sample FOLDER [broken]")?;
    let broken = arguments.next().as_deref() == Some("broken");
    let specification = Specification::embedded()?;
    let sample = Sample {
        recorder: Recorder::create(Path::new(&folder), "sample-0001")?,
        specification: &specification,
        start: "2026-11-21T12:00:00Z".parse()?,
        broken,
    };
    sample.journals()?;
    let criteria: Criteria = serde_yaml::from_str(include_str!("sample-gate.yaml"))?;
    criteria.check(&specification)?;
    let written = bundle::write(Path::new(&folder), &criteria, &specification)?;
    println!("{}", written.judgement.verdict.headline);
    println!("{} ({})", written.archive.display(), written.root);
    bundle::verify(Path::new(&folder), &specification)?;
    println!("verified");
    Ok(())
}

struct Sample<'a> {
    recorder: Recorder,
    specification: &'a Specification,
    start: DateTime<Utc>,
    broken: bool,
}

impl Sample<'_> {
    fn journals(&self) -> Outcome<()> {
        for (index, id) in PLAYED.iter().enumerate() {
            self.scenario(index, id)?;
        }
        self.waiting("SL-26", "waits-deploy")?;
        self.waiting("WH-14", "waits-onboarding")?;
        self.not_provable("NI-02", "needs-container-isolation")?;
        self.environment()?;
        self.canaries()?;
        self.certificate()?;
        Ok(())
    }

    fn at(&self, milliseconds: i64) -> DateTime<Utc> {
        self.start + TimeDelta::milliseconds(milliseconds)
    }

    fn scenario(&self, index: usize, id: &str) -> Outcome<()> {
        let listed = self.specification.scenario(id).ok_or("unknown scenario")?;
        let begin = 4_000 + 310 * i64::try_from(index)?;
        let key = ScenarioKey::new(id, 9 + 11 * u32::try_from(index)?);
        let repository = format!("acme-{}/shop", id.to_lowercase());
        let run = format!("{:08x}-0000-7000-8000-{index:012x}", 0x01f2_0000 + index);
        let (given, rest) = listed.text.split_once(", ").unwrap_or(("", &listed.text));
        let (when, then) = rest
            .split_once(", then ")
            .unwrap_or((rest, "the platform did what the rule says"));
        let failing = self.broken && id == "RV-07";
        let mut steps = Vec::new();
        for (keyword, text) in [
            ("Given", given.trim_start_matches("Given ")),
            ("When", when.trim_start_matches("when ")),
            ("Then", then),
        ] {
            if text.is_empty() {
                continue;
            }
            let fails = failing && keyword == "Then";
            steps.push(StepResult {
                keyword: keyword.into(),
                text: text.into(),
                state: if fails {
                    StepState::Failed
                } else {
                    StepState::Passed
                },
                error: fails.then(|| format!("pull requests of {repository}: expected 1, saw 2")),
                line: key.line + u32::try_from(steps.len())? + 1,
                started_at: self.at(begin),
                duration_ms: 40 + 13 * u64::try_from(index)? % 700,
            });
        }
        for (source, subject, expected, query) in [
            (
                ObservationSource::Github,
                format!("{repository}#1, labels"),
                "state:in-review",
                format!("GET /repos/{repository}/issues/1/labels"),
            ),
            (
                ObservationSource::Postgres,
                format!("run {run}, events"),
                "run.succeeded once",
                format!("select event_type from flow_events where run_id = '{run}' order by id"),
            ),
        ] {
            let odd = failing && source == ObservationSource::Github;
            self.recorder.observe(Observation {
                key: key.clone(),
                step: then.into(),
                rules: listed.rules.clone(),
                subject,
                expected: expected.into(),
                seen: if odd {
                    "state:in-review, run:dev:revise".into()
                } else {
                    expected.into()
                },
                ok: !odd,
                source,
                query,
                contradiction: false,
                at: self.at(begin + 900),
            })?;
        }
        let starts_run = matches!(&id[..2], "SL" | "RV" | "RL" | "TR" | "HY" | "WR" | "NI");
        self.recorder.scenario_finished(ScenarioResult {
            key,
            feature: listed.feature.clone(),
            file: format!("features/{}.feature", listed.feature),
            name: format!("{} {}", given.trim_start_matches("Given "), when)
                .trim()
                .chars()
                .take(90)
                .collect(),
            tags: vec![id.into()],
            state: if failing {
                ScenarioState::Failed
            } else {
                ScenarioState::Passed
            },
            reason: None,
            steps,
            runs: if starts_run {
                vec![run.clone()]
            } else {
                Vec::new()
            },
            repositories: vec![repository.clone()],
            instance: "common".into(),
            kept: Vec::new(),
            announced: Vec::new(),
            started_at: self.at(begin),
            finished_at: self.at(begin + 1_400),
        })?;
        if starts_run {
            self.run(index, begin, &repository, &run)?;
        }
        self.conflict(index, begin, id, &repository)
    }

    fn run(&self, index: usize, begin: i64, repository: &str, run: &str) -> Outcome<()> {
        let short: String = run.chars().filter(|c| *c != '-').take(12).collect();
        let namespace = format!("codex-issue-aaaaaaaaaaaa-i1-r{short}");
        let delivery = format!("delivery-{index}");
        let label = if index % 3 == 1 {
            "run:dev:revise"
        } else {
            "run:dev"
        };
        let jitter = i64::try_from(index * 37 % 90)?;
        let slices = "journals/postgres/common";
        self.recorder.append(
            &format!("{slices}/webhook_deliveries.ndjson"),
            &json!({
                "delivery_id": delivery, "run_id": run, "received_at": self.at(begin),
            }),
        )?;
        self.recorder.append(&format!("{slices}/agent_runs.ndjson"), &json!({
            "id": run, "correlation_id": delivery, "repository_full_name": repository, "issue_number": 1,
            "pr_number": 2, "status": "succeeded", "trigger_label": label, "trigger_source": "issue_label",
            "runtime_mode": "full-env", "namespace": namespace, "finished_at": self.at(begin + 1_300),
            "lease_owner": null, "deploy_only": false, "discussion_mode": false,
        }))?;
        let day = 24 * 3_600_000;
        let moments: [(&str, i64, Value); 11] = [
            (
                "run.enqueued",
                6 + jitter / 9,
                json!({"trigger_label": label}),
            ),
            (
                "run.profile.resolved",
                18 + jitter / 6,
                json!({"model": "gpt-5.4", "model_source": "agent_default"}),
            ),
            (
                "run.namespace.prepared",
                55 + jitter / 2,
                json!({"namespace": namespace}),
            ),
            ("run.started", 82 + jitter, json!({"slot_no": 1})),
            ("run.agent.started", 190 + jitter, json!({})),
            ("run.pr.created", 780 + 3 * jitter, json!({"pr_number": 2})),
            ("run.succeeded", 960 + 3 * jitter, json!({})),
            (
                "label.applied",
                975 + 3 * jitter,
                json!({"op": "remove", "label": label, "source": "system"}),
            ),
            (
                "label.applied",
                980 + 3 * jitter,
                json!({"op": "add", "label": "state:in-review", "source": "system"}),
            ),
            (
                "run.namespace.ttl_scheduled",
                985 + 3 * jitter,
                json!({"namespace": namespace}),
            ),
            (
                "run.namespace.cleaned",
                1_000 + 3 * jitter + day,
                json!({"namespace": namespace, "reason": "ttl_expired"}),
            ),
        ];
        for (number, (kind, after, payload)) in moments.iter().enumerate() {
            if self.broken && index == 5 && *kind == "run.agent.started" {
                continue;
            }
            self.recorder.append(&format!("{slices}/flow_events.ndjson"), &json!({
                "id": index * 100 + number, "run_id": run, "event_type": kind, "actor_type": "system", "actor_id": "worker",
                "created_at": self.at(begin + after), "payload": payload,
            }))?;
        }
        self.change(
            begin,
            repository,
            "member",
            "label_added",
            &json!({"label": label}),
        )?;
        let zero = "0".repeat(40);
        for (event, detail) in [
            (
                "ref_moved",
                json!({"ref": "refs/heads/codex/issue-1", "before": zero, "after": "a".repeat(40)}),
            ),
            ("pull_request_opened", json!({})),
            ("comment_created", json!({"comment": index})),
            ("label_removed", json!({"label": label})),
            ("label_added", json!({"label": "state:in-review"})),
        ] {
            self.change(begin + 900, repository, "codex-bot", event, &detail)?;
        }
        self.cluster(index, begin, &namespace, &short)
    }

    fn change(
        &self,
        at: i64,
        repository: &str,
        actor: &str,
        event: &str,
        detail: &Value,
    ) -> Outcome<()> {
        Ok(self.recorder.append("journals/github.ndjson", &json!({
            "seq": 0, "at": self.at(at), "kind": "change", "actor": actor, "repository": repository, "thread": 1,
            "event": event, "detail": detail,
        }))?)
    }

    fn cluster(&self, index: usize, begin: i64, namespace: &str, short: &str) -> Outcome<()> {
        let objects = [
            ("namespaces", namespace.to_owned()),
            ("serviceaccounts", "codex-agent".to_owned()),
            ("roles", "codex-agent".to_owned()),
            ("rolebindings", "codex-agent".to_owned()),
            ("resourcequotas", "codex-run".to_owned()),
            ("limitranges", "codex-run".to_owned()),
            ("networkpolicies", "codex-run".to_owned()),
            ("secrets", format!("codex-run-credentials-{short}")),
            ("jobs", format!("codex-run-{short}")),
            ("pods", format!("codex-run-{short}-x7k2p")),
        ];
        for (resource, name) in objects {
            self.audit(begin + 60, "create", resource, namespace, &name, "", 201)?;
        }
        if !(self.broken && index == 5) {
            self.audit(
                begin + 2_000,
                "update",
                "namespaces",
                namespace,
                namespace,
                "finalize",
                200,
            )?;
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "an audit line has that many parts"
    )]
    fn audit(
        &self,
        at: i64,
        verb: &str,
        resource: &str,
        namespace: &str,
        name: &str,
        subresource: &str,
        code: u16,
    ) -> Outcome<()> {
        Ok(self.recorder.append("journals/audit.ndjson", &json!({
            "kind": "Event", "stage": "ResponseComplete", "verb": verb, "requestURI": "/",
            "user": {"username": "codex-k8s-worker"},
            "objectRef": {"resource": resource, "namespace": namespace, "name": name, "subresource": subresource},
            "responseStatus": {"code": code}, "stageTimestamp": self.at(at),
        }))?)
    }

    fn conflict(&self, index: usize, begin: i64, id: &str, repository: &str) -> Outcome<()> {
        let payload = match id {
            "LC-01" => {
                json!({"reason": "issue_trigger_label_conflict", "label": "run:vision", "conflicting_labels": ["run:dev", "run:vision"]})
            }
            "LC-02" => {
                json!({"reason": "issue_trigger_label_conflict", "label": "run:dev", "conflicting_labels": ["run:dev", "run:dev:revise"]})
            }
            "WH-08" => json!({"reason": "sender_type_bot_not_permitted", "label": "run:dev"}),
            "WH-06" => json!({"reason": "sender_not_project_member", "label": "run:dev"}),
            _ => return Ok(()),
        };
        self.change(
            begin,
            repository,
            "member",
            "label_added",
            &json!({"label": "bug"}),
        )?;
        Ok(self.recorder.append("journals/postgres/common/flow_events.ndjson", &json!({
            "id": index * 100, "event_type": "webhook.ignored", "actor_type": "system", "actor_id": "github-webhook",
            "created_at": self.at(begin), "payload": payload,
        }))?)
    }

    fn waiting(&self, id: &str, tag: &str) -> Outcome<()> {
        self.not_played(
            id,
            tag,
            ScenarioState::Waiting,
            "its subject is not built yet",
        )
    }

    fn not_provable(&self, id: &str, tag: &str) -> Outcome<()> {
        self.not_played(
            id,
            tag,
            ScenarioState::NotProvableHere,
            "the process node does not isolate containers",
        )
    }

    fn not_played(&self, id: &str, tag: &str, state: ScenarioState, reason: &str) -> Outcome<()> {
        let listed = self.specification.scenario(id).ok_or("unknown scenario")?;
        Ok(self.recorder.scenario_finished(ScenarioResult {
            key: ScenarioKey::new(id, 300),
            feature: listed.feature.clone(),
            file: format!("features/{}.feature", listed.feature),
            name: listed.text.chars().take(90).collect(),
            tags: vec![id.into(), tag.into()],
            state,
            reason: Some(format!("@{tag}: {reason}")),
            steps: Vec::new(),
            runs: Vec::new(),
            repositories: Vec::new(),
            instance: String::new(),
            kept: Vec::new(),
            announced: Vec::new(),
            started_at: self.at(4_000),
            finished_at: self.at(4_000),
        })?)
    }

    fn environment(&self) -> Outcome<()> {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect()
        };
        let fact = |subject: &str, result: &str, duration_ms| PhaseFacts {
            subject: subject.into(),
            result: result.into(),
            ok: true,
            duration_ms,
        };
        let phase = |name: &str, from, duration_ms, facts| TargetPhase {
            name: name.into(),
            started_at: self.at(from),
            duration_ms,
            ok: true,
            facts,
        };
        self.recorder.capabilities(&[
            capability(
                "pods",
                CapabilityState::Present,
                "a Job ran and its log could be read",
            ),
            capability(
                "rbac",
                CapabilityState::Present,
                "a forbidden read of a Secret was denied",
            ),
            capability(
                "quota",
                CapabilityState::Present,
                "a Pod above the quota was refused",
            ),
            capability(
                "container-isolation",
                CapabilityState::Absent,
                "the process node runs Pods as processes of this host",
            ),
            capability(
                "network-policy",
                CapabilityState::Absent,
                "a connection that the policy forbids came through",
            ),
        ])?;
        Ok(self.recorder.gate_run(&GateRun {
            gate_run_id: "sample-0001".into(),
            target: "embedded".into(),
            host: "Debian 12".into(),
            revision: "0123456789abcdef0123456789abcdef01234567".into(),
            dirty: false,
            binary_digest: format!("sha256:{}", "5a".repeat(32)),
            versions: map(&[("PostgreSQL", "17.6"), ("etcd", "3.6.5"), ("kube-apiserver", "1.34.2"), ("git", "2.39.5")]),
            origins: map(&[("PostgreSQL", "cache"), ("etcd", "cache"), ("kube-apiserver", "cache"), ("git", "given")]),
            stand_ins: vec![
                "for GitHub: REST, git over HTTP and webhooks.".into(),
                "for the agent: the script adapter plays a story from the repository; no model was asked.".into(),
            ],
            settings: map(&[("CODEXK8S_WORKER_JOB_TTL_SECONDS", "60"), ("bot_login", "codex-bot")]),
            features: vec!["stage_lifecycle".into(), "label_conflicts".into()],
            tags: None,
            lanes: vec![LaneFacts {
                instance: "common".into(),
                database: "gonogo_sample_common".into(),
                processes: "gateway ×1, control-plane ×1, worker ×2".into(),
                namespaces: vec!["codex-k8s-common".into()],
                purpose: "ordinary scenarios".into(),
            }],
            phases: vec![
                phase("up", 0, 3_900, vec![fact("postgres", "ready", 640), fact("kube-apiserver", "ready", 2_900), fact("process node", "Ready", 310)]),
                phase("features", 4_000, 15_000, Vec::new()),
                phase("sweep", 19_000, 900, vec![fact("managed namespaces", "none left", 40)]),
                phase("down", 20_000, 1_300, vec![fact("processes with the run's marker", "none left", 30), fact("sockets", "none left", 4), fact("folders", "none left", 2)]),
            ],
            started_at: self.start,
            finished_at: Some(self.at(21_300)),
            interrupted: None,
            sample: true,
            kept: false,
        })?)
    }

    fn certificate(&self) -> Outcome<()> {
        let call = |method: &str, route: &str, status: &str, client: &str| CertificateRoute {
            method: method.into(),
            route: route.into(),
            clients: [client.into()].into(),
            answers: [(status.into(), json!({"count": 3, "against": "#/paths"}))].into(),
        };
        let certificate = GithubCertificate {
            description: CertificateOrigin {
                package: "npm @octokit/openapi".into(),
                version: "23.0.2".into(),
            },
            answers: 214,
            deliveries: 57,
            routes: vec![
                call(
                    "GET",
                    "/repos/{owner}/{repo}/issues/{issue_number}",
                    "200",
                    "octocrab",
                ),
                call(
                    "POST",
                    "/repos/{owner}/{repo}/pulls",
                    "201",
                    "codex-k8s-agent",
                ),
            ],
            webhooks: vec![json!({"event": "issues", "action": "labeled"})],
            ..GithubCertificate::default()
        };
        Ok(self
            .recorder
            .write_json("github-certificate.json", &certificate)?)
    }

    fn canaries(&self) -> Outcome<()> {
        let planted = SecretValue::new("planted", "sample-planted-leak-51c0");
        let secrets = [
            SecretValue::new("github-pat", "sample-canary-pat-77aa"),
            SecretValue::new("webhook-secret", "sample-canary-hook-12bb"),
        ];
        let mut searcher = CanarySearcher::new(&secrets, &planted);
        searcher.search(Sink {
            kind: "logs",
            name: "gate.log",
            bytes: b"planted on purpose: sample-planted-leak-51c0",
        });
        for (kind, name) in [
            ("events", "flow_events.ndjson"),
            ("comments", "github.ndjson"),
            ("job specs", "audit.ndjson"),
        ] {
            searcher.search(Sink {
                kind,
                name,
                bytes: &[b'.'; 40_000],
            });
        }
        Ok(self
            .recorder
            .write_json("canaries.json", &searcher.finish())?)
    }
}

fn capability(name: &str, state: CapabilityState, reason: &str) -> Capability {
    Capability {
        name: name.into(),
        state,
        reason: reason.into(),
    }
}
