//! Puts the page together.
use askama::Template;

use super::{drawing, labels, rows, scenarios, words};
use crate::coverage::{CellState, RuleCoverage, RuleState};
use crate::crash_matrix::{CrashSweep, matrix_table};
use crate::evidence::{Capability, CapabilityState, GateRun};
use crate::journals::{GithubCertificate, Journals};
use crate::ledger::{Entry, Ledger};
use crate::spec::{CellKind, Specification};
use crate::verdict::{Counts, Criteria, Effect, Finding, Judgement, Outcome, Risk, Verdict};

#[derive(Template)]
#[template(path = "report/index.html")]
struct Page<'a> {
    verdict: &'a Verdict,
    counts: &'a Counts,
    class: &'static str,
    run: &'a GateRun,
    started: String,
    took: String,
    revision: &'a str,
    lowered: &'a [String],
    outside: &'a [String],
    speaks_of: String,
    deciding: Vec<&'a Finding>,
    reported: Vec<&'a Finding>,
    tiles: Vec<rows::Tile>,
    kinds: [CellKind; 4],
    groups: Vec<labels::Group>,
    foreign: &'a [String],
    demanded: (usize, usize),
    features: Vec<scenarios::Feature>,
    runs: Vec<drawing::DrawnRun>,
    ledger: &'a Ledger,
    leaks: Vec<&'a Entry>,
    kept: Vec<&'a Entry>,
    chapters: Vec<Chapter<'a>>,
    phases: Vec<Phase<'a>>,
    capabilities: &'a [Capability],
    canaries: Option<Canaries>,
    certificate: Option<&'a GithubCertificate>,
    crash_sweep: Option<&'a CrashSweep>,
    risks: &'a [Risk],
    baseline: Option<&'a crate::verdict::Baseline>,
}

/// Rule coverage of one chapter.
struct Chapter<'a> {
    name: &'a str,
    proven: usize,
    own_word: usize,
    waiting: usize,
    all: usize,
    proven_percent: String,
    own_word_percent: String,
    rules: Vec<&'a RuleCoverage>,
}

/// One phase of the target.
struct Phase<'a> {
    name: &'a str,
    ok: bool,
    duration: String,
    facts: Vec<(&'a str, &'a str, bool, String)>,
}

/// The canary search.
struct Canaries {
    number: usize,
    planted_found: bool,
    hits: usize,
    searched: Vec<(String, usize, String)>,
}

impl Page<'_> {
    fn matrix(&self, sweep: &CrashSweep) -> String {
        matrix_table(&sweep.cells)
    }

    fn rich(&self, text: &str) -> String {
        words::rich(text)
    }

    fn file<'a>(&self, pointer: &'a str) -> &'a str {
        words::file(pointer)
    }

    fn glyph(&self, capability: &Capability) -> &'static str {
        match capability.state {
            CapabilityState::Present => "✓",
            CapabilityState::Absent => "–",
            CapabilityState::Unknown => "?",
        }
    }

    fn rule_class(&self, rule: &RuleCoverage) -> &'static str {
        match rule.state {
            RuleState::Proven => "proven",
            RuleState::OwnWordOnly => "part",
            RuleState::Waiting => "waits",
            RuleState::Open => "open",
        }
    }

    fn effect(&self, finding: &Finding) -> &'static str {
        match finding.effect {
            Effect::NoGo => "NO-GO",
            Effect::Inconclusive => "INCONCLUSIVE",
            Effect::Reported => "reported",
        }
    }
}

/// Renders `index.html`.
pub(crate) fn page(
    journals: &Journals,
    criteria: &Criteria,
    judgement: &Judgement,
    specification: &Specification,
) -> Result<String, askama::Error> {
    let verdict = &judgement.verdict;
    let run = &journals.gate_run;
    let (deciding, reported) = verdict
        .findings
        .iter()
        .partition(|finding| finding.effect != Effect::Reported);
    let demanded = || {
        judgement.coverage.labels.labels.iter().flat_map(|label| {
            label
                .cells
                .iter()
                .filter(|cell| criteria.demands_cell(&label.label, cell.kind))
        })
    };
    Page {
        verdict,
        counts: &verdict.counts,
        class: match verdict.verdict {
            Outcome::Go => "go",
            Outcome::NoGo => "nogo",
            Outcome::Inconclusive => "inconclusive",
        },
        run,
        started: words::time(run.started_at),
        took: run.finished_at.map_or("not finished".into(), |end| {
            let took = (end - run.started_at).num_milliseconds();
            words::duration(u64::try_from(took).unwrap_or(0))
        }),
        revision: run.revision.get(..12).unwrap_or(&run.revision),
        lowered: &criteria.lowered,
        outside: &verdict.rows_outside_scope,
        speaks_of: match verdict.verdict {
            Outcome::Go => format!(
                "for {} of {} rows",
                verdict.counts.rows_proven, verdict.counts.rows
            ),
            _ => format!(
                "{} of {} rows proven",
                verdict.counts.rows_proven, verdict.counts.rows
            ),
        },
        deciding,
        reported,
        tiles: rows::tiles(&judgement.coverage.rows, criteria),
        kinds: CellKind::ALL,
        groups: labels::groups(&judgement.coverage.labels, criteria),
        foreign: &judgement.coverage.labels.foreign,
        demanded: (
            demanded()
                .filter(|cell| cell.state == CellState::Proven)
                .count(),
            demanded().count(),
        ),
        features: scenarios::features(journals, specification),
        runs: judgement.timelines.runs.iter().map(drawing::draw).collect(),
        ledger: &judgement.ledger,
        leaks: judgement.ledger.leaks().collect(),
        kept: judgement
            .ledger
            .kept()
            .filter(|entry| entry.kept.as_deref() != Some("result_of_run"))
            .collect(),
        chapters: chapters(&judgement.coverage.rules),
        phases: phases(run),
        capabilities: journals.capabilities.as_deref().unwrap_or_default(),
        canaries: journals.canaries.as_ref().map(|search| Canaries {
            number: search.canaries.len(),
            planted_found: search.planted_found,
            hits: search.hits.len(),
            searched: search
                .searched
                .iter()
                .map(|(kind, result)| (kind.clone(), result.sinks, words::bytes(result.bytes)))
                .collect(),
        }),
        certificate: journals.certificate.as_ref(),
        crash_sweep: journals.crash_sweep.as_ref(),
        risks: &journals.risks,
        baseline: journals.baseline.as_ref(),
    }
    .render()
}

fn chapters(rules: &[RuleCoverage]) -> Vec<Chapter<'_>> {
    let mut chapters: Vec<Chapter<'_>> = Vec::new();
    for rule in rules {
        let index = match chapters
            .iter()
            .position(|chapter| chapter.name == rule.chapter)
        {
            Some(index) => index,
            None => {
                chapters.push(Chapter {
                    name: &rule.chapter,
                    proven: 0,
                    own_word: 0,
                    waiting: 0,
                    all: 0,
                    proven_percent: String::new(),
                    own_word_percent: String::new(),
                    rules: Vec::new(),
                });
                chapters.len() - 1
            }
        };
        let chapter = &mut chapters[index];
        chapter.all += 1;
        chapter.proven += usize::from(rule.state == RuleState::Proven);
        chapter.own_word += usize::from(rule.state == RuleState::OwnWordOnly);
        chapter.waiting += usize::from(rule.state == RuleState::Waiting);
        chapter.rules.push(rule);
    }
    for chapter in &mut chapters {
        let percent = |number: usize| format!("{:.2}", number as f64 * 100.0 / chapter.all as f64);
        let (proven, own_word) = (percent(chapter.proven), percent(chapter.own_word));
        chapter.proven_percent = proven;
        chapter.own_word_percent = own_word;
    }
    chapters
}

fn phases(run: &GateRun) -> Vec<Phase<'_>> {
    run.phases
        .iter()
        .map(|phase| Phase {
            name: &phase.name,
            ok: phase.ok,
            duration: words::duration(phase.duration_ms),
            facts: phase
                .facts
                .iter()
                .map(|fact| {
                    (
                        fact.subject.as_str(),
                        fact.result.as_str(),
                        fact.ok,
                        words::duration(fact.duration_ms),
                    )
                })
                .collect(),
        })
        .collect()
}
