//! A bundle is the same bytes for the same journals, and `verify` names what was done to it (E-32, E-42).
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use reports::bundle::{self, VerifyError};
use reports::evidence::{
    GateRun, Observation, ObservationSource, Recorder, ScenarioKey, ScenarioResult, ScenarioState,
    StepResult, StepState,
};
use reports::spec::Specification;
use reports::verdict::{Criteria, LabelDemand, Outcome, Scope, SelfCheckDemand};
use sha2::{Digest, Sha256};

fn at() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

fn criteria() -> Criteria {
    Criteria {
        schema_version: 1,
        scope: Scope {
            rows: vec!["S2-1".into()],
            features: vec!["stage_lifecycle".into()],
        },
        labels: LabelDemand {
            all: false,
            cells: Vec::new(),
        },
        self_check: SelfCheckDemand {
            required: false,
            most_age_hours: 1,
        },
        demanded_capabilities: Vec::new(),
        canary_search: false,
        lowered: Vec::new(),
    }
}

fn record(folder: &Path) {
    let recorder = Recorder::create(folder, "run-1").expect("recorder");
    for (id, feature) in [("SL-07", "stage_lifecycle"), ("RL-01", "run_lifecycle")] {
        let key = ScenarioKey::new(id, 4);
        recorder
            .observe(Observation {
                key: key.clone(),
                step: "the run ends as succeeded".into(),
                rules: vec!["L-73".into()],
                subject: "run <script>alert(1)</script>".into(),
                expected: "succeeded".into(),
                seen: "succeeded".into(),
                ok: true,
                source: ObservationSource::Kubernetes,
                query: "kubectl get job".into(),
                contradiction: false,
                at: at(),
            })
            .expect("observation");
        recorder
            .scenario_finished(ScenarioResult {
                key,
                feature: feature.into(),
                file: "features/x.feature".into(),
                name: "a run".into(),
                tags: vec![id.into()],
                state: ScenarioState::Passed,
                reason: None,
                steps: vec![StepResult {
                    keyword: "Then".into(),
                    text: "the run ends as succeeded".into(),
                    state: StepState::Passed,
                    error: None,
                    line: 5,
                    started_at: at(),
                    duration_ms: 3,
                }],
                runs: Vec::new(),
                repositories: Vec::new(),
                instance: "common".into(),
                kept: Vec::new(),
                announced: Vec::new(),
                started_at: at(),
                finished_at: at(),
            })
            .expect("result");
    }
    recorder
        .write_text("journals/audit.ndjson", "")
        .expect("audit log");
    recorder.capabilities(&[]).expect("capabilities");
    recorder
        .gate_run(&GateRun {
            gate_run_id: "run-1".into(),
            target: "embedded".into(),
            host: "Debian 12".into(),
            revision: "a".repeat(40),
            dirty: false,
            binary_digest: "sha256:00".into(),
            versions: BTreeMap::new(),
            origins: BTreeMap::new(),
            stand_ins: Vec::new(),
            settings: BTreeMap::new(),
            features: vec!["stage_lifecycle".into()],
            tags: None,
            lanes: Vec::new(),
            phases: Vec::new(),
            started_at: at(),
            finished_at: Some(at()),
            interrupted: None,
            sample: false,
            kept: false,
        })
        .expect("environment");
}

struct Bundle {
    folder: tempfile::TempDir,
    specification: Specification,
}

impl Bundle {
    fn written() -> Self {
        let bundle = Self {
            folder: tempfile::tempdir().expect("temporary folder"),
            specification: Specification::embedded().expect("specification"),
        };
        record(&bundle.path());
        bundle::write(&bundle.path(), &criteria(), &bundle.specification).expect("bundle");
        bundle
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("run-1")
    }

    fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.path().join(file);
        let text = fs::read_to_string(&path).expect(file);
        fs::write(&path, change(text)).expect(file);
    }

    /// Puts the manifest in step with the files, as one who knows how it is made would.
    fn sign_over(&self, file: &str) {
        let bytes = fs::read(self.path().join(file)).expect(file);
        self.edit("manifest.json", |text| {
            let mut manifest: bundle::Manifest = serde_json::from_str(&text).expect("manifest");
            let entry = manifest
                .files
                .iter_mut()
                .find(|entry| entry.path == file)
                .expect(file);
            entry.sha256 = hex::encode(Sha256::digest(&bytes));
            entry.size = bytes.len() as u64;
            serde_json::to_string(&manifest).expect("manifest")
        });
    }

    /// What `verify` names, as `file: reason`.
    fn problems(&self) -> Vec<String> {
        match bundle::verify(&self.path(), &self.specification) {
            Ok(_) => Vec::new(),
            Err(VerifyError::Broken(problems)) => problems
                .into_iter()
                .map(|problem| format!("{}: {}", problem.file, problem.reason))
                .collect(),
            Err(other) => vec![other.to_string()],
        }
    }
}

#[test]
fn an_untouched_bundle_holds_and_is_made_of_the_same_bytes_again() {
    let bundle = Bundle::written();
    assert_eq!(bundle.problems(), Vec::<String>::new());
    let verdict = fs::read(bundle.path().join("verdict.json")).expect("verdict");
    let archive = fs::read(bundle.folder.path().join("run-1.tar.zst")).expect("archive");
    bundle::write(&bundle.path(), &criteria(), &bundle.specification).expect("bundle again");
    assert_eq!(
        fs::read(bundle.path().join("verdict.json")).expect("verdict"),
        verdict
    );
    assert_eq!(
        fs::read(bundle.folder.path().join("run-1.tar.zst")).expect("archive"),
        archive
    );
}

#[test]
fn a_bundle_becomes_the_baseline_of_the_next_one_unless_it_was_changed() {
    let bundle = Bundle::written();
    let baseline = bundle::baseline(&bundle.path()).expect("a baseline");
    let verdict = fs::read_to_string(bundle.path().join("verdict.json")).expect("verdict");
    let verdict: serde_json::Value = serde_json::from_str(&verdict).expect("JSON");
    assert_eq!(verdict["gate_run_id"], baseline.gate_run_id.as_str());
    assert_eq!(verdict["headline"], baseline.headline.as_str());
    assert_eq!(baseline.scope, criteria().scope);
    let found = verdict["findings"].as_array().expect("findings");
    assert!(!found.is_empty());
    for finding in found {
        let subject = finding["subject"].as_str().expect("a subject").to_owned();
        assert!(baseline.findings.contains(&subject), "{subject}");
    }

    bundle.edit("verdict.json", |text| {
        text.replacen("INCONCLUSIVE", "GO", 1)
    });
    let error = bundle::baseline(&bundle.path()).expect_err("a changed bundle");
    assert_eq!(
        error.to_string(),
        "the bundle does not hold: verdict.json: is shorter than the manifest says"
    );
}

#[test]
fn tampering_is_named_with_file_and_reason() {
    type Tamper = fn(&Bundle);
    let cases: [(&str, Tamper); 7] = [
        ("verdict.json: was changed", |bundle| {
            bundle.edit("verdict.json", |text| {
                text.replacen("INCONCLUSIVE", "inCONCLUSIVE", 1)
            });
        }),
        ("events.ndjson: is shorter", |bundle| {
            bundle.edit("events.ndjson", |text| {
                text.lines()
                    .skip(1)
                    .map(|line| format!("{line}\n"))
                    .collect()
            });
        }),
        ("journals/scenarios.ndjson: was changed", |bundle| {
            bundle.edit("journals/scenarios.ndjson", |text| {
                text.lines().rev().map(|line| format!("{line}\n")).collect()
            });
        }),
        ("journals/observations.ndjson: is shorter", |bundle| {
            bundle.edit("journals/observations.ndjson", |text| {
                text[..text.len() / 2].to_owned()
            });
        }),
        ("brief.md: is missing", |bundle| {
            fs::remove_file(bundle.path().join("brief.md")).expect("brief");
        }),
        ("journals/extra.ndjson: is not in the manifest", |bundle| {
            fs::write(bundle.path().join("journals/extra.ndjson"), "{}\n").expect("extra");
        }),
        (
            "manifest.json: its root is not that of its files",
            |bundle| {
                bundle.edit("verdict.json", |text| {
                    text.replacen("INCONCLUSIVE", "GO", 1)
                });
                bundle.sign_over("verdict.json");
            },
        ),
    ];
    for (expected, tamper) in cases {
        let bundle = Bundle::written();
        tamper(&bundle);
        let problems = bundle.problems();
        assert!(
            problems.iter().any(|problem| problem.starts_with(expected)),
            "{expected} not among {problems:?}"
        );
    }
}

#[test]
fn a_verdict_that_does_not_follow_from_the_journals_is_named_even_with_a_fresh_manifest() {
    let bundle = Bundle::written();
    bundle.edit("verdict.json", |text| {
        text.replacen("INCONCLUSIVE", "GO", 1)
    });
    let manifest = bundle::manifest(&bundle.path()).expect("manifest");
    bundle.edit("manifest.json", |_| {
        serde_json::to_string(&manifest).expect("manifest")
    });
    let answer = bundle::verify(&bundle.path(), &bundle.specification);
    let Err(VerifyError::Broken(problems)) = answer else {
        panic!("a forged verdict holds");
    };
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].file, "verdict.json");
    assert!(
        problems[0]
            .reason
            .starts_with("does not follow from the journals")
    );
}

#[test]
fn a_killed_run_leaves_a_bundle_that_is_inconclusive_and_holds() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("run-1");
    record(&path);
    let journal = path.join("journals/scenarios.ndjson");
    let text = fs::read_to_string(&journal).expect("journal");
    fs::write(&journal, &text[..text.len() - 20]).expect("journal");
    let specification = Specification::embedded().expect("specification");
    let written =
        bundle::write_interrupted(&path, "killed by SIGKILL", &criteria(), &specification)
            .expect("bundle");
    assert_eq!(written.judgement.verdict.verdict, Outcome::Inconclusive);
    assert_eq!(written.judgement.verdict.exit_code, 3);
    assert_eq!(
        written.judgement.verdict.findings[0].check,
        "run_interrupted"
    );
    bundle::verify(&path, &specification).expect("the bundle holds");
}

#[test]
fn the_page_loads_nothing_and_escapes_what_it_shows() {
    let bundle = Bundle::written();
    let page = fs::read_to_string(bundle.path().join("index.html")).expect("page");
    for forbidden in ["<script", "src=", "href=\"http", "<link", "@import", "url("] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(
        page.contains("run &#60;script&#62;alert(1)"),
        "the subject is shown, escaped"
    );
}
