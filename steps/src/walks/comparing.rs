//! Expected and seen of one move, kind by kind, and the rules that the move tries.

use reference::{Move, View};
use reports::evidence::ObservationSource::{self, Github, Postgres};

use super::reading::Sight;

/// What is compared after a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Answers,
    Comments,
    Labels,
    NeedInput,
    Runs,
}

impl Kind {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Answers => "outcome of each delivery",
            Self::Comments => "comments that name a reason",
            Self::Labels => "labels of each thread",
            Self::NeedInput => "need:input that the platform owns",
            Self::Runs => "all runs",
        }
    }

    pub(crate) fn source(self) -> ObservationSource {
        match self {
            Self::Comments | Self::Labels => Github,
            Self::Answers | Self::NeedInput | Self::Runs => Postgres,
        }
    }

    pub(crate) fn query(self) -> &'static str {
        match self {
            Self::Answers => "webhook_deliveries by delivery id",
            Self::Comments => "comments of each thread since the move",
            Self::Labels => "labels of each Issue and pull request",
            Self::NeedInput => "thread_states of the repository",
            Self::Runs => "agent_runs of the repository",
        }
    }
}

/// One kind after one move.
#[derive(Clone, Debug)]
pub struct Compared {
    pub kind: Kind,
    pub rules: Vec<&'static str>,
    pub subject: String,
    pub expected: String,
    pub seen: String,
}

/// Everything that is compared after a move.
pub(super) fn compare(
    step: &Move,
    view: &View,
    subject: &str,
    expected: &Sight,
    seen: &Sight,
) -> Vec<Compared> {
    let lines = |lines: Vec<&String>| {
        if lines.is_empty() {
            return "none".to_owned();
        }
        let lines: Vec<&str> = lines.into_iter().map(String::as_str).collect();
        lines.join("; ")
    };
    let one = |kind: Kind, rules: Vec<&'static str>, expected: String, seen: String| Compared {
        kind,
        rules,
        subject: format!("{} after {subject}", kind.title()),
        expected,
        seen,
    };
    vec![
        one(
            Kind::Answers,
            rules_of_answers(view),
            lines(expected.answers.iter().collect()),
            lines(seen.answers.iter().collect()),
        ),
        one(
            Kind::Comments,
            vec!["L-42"],
            lines(expected.comments.iter().collect()),
            lines(seen.comments.iter().collect()),
        ),
        one(
            Kind::Labels,
            rules_of_labels(step, view),
            lines(expected.labels.iter().collect()),
            lines(seen.labels.iter().collect()),
        ),
        one(
            Kind::NeedInput,
            vec!["L-84"],
            lines(expected.owned.iter().collect()),
            lines(seen.owned.iter().collect()),
        ),
        one(
            Kind::Runs,
            rules_of_runs(step, view),
            lines(expected.runs.iter().collect()),
            lines(seen.runs.iter().collect()),
        ),
    ]
}

/// Rules of the guards by the reason that they give (L-29).
const GUARDS: [(&str, &str); 13] = [
    ("sender_", "L-31"),
    ("issue_trigger_label_conflict", "L-33"),
    ("discussion_mode_trigger_label_conflict", "L-34"),
    ("pull_request_review_stage", "L-35"),
    ("issue_closed", "L-36"),
    ("issue_state_", "L-37"),
    ("issue_need_input_open", "L-37"),
    ("issue_active_run_exists", "L-38"),
    ("stage_transition_not_allowed", "L-70"),
    ("stage_gate_not_passed", "L-71"),
    ("issue_trigger_candidate_not_found", "L-66"),
    ("issue_event_not_trigger_label", "L-28"),
    ("accepted", "L-44"),
];

fn rules_of_answers(view: &View) -> Vec<&'static str> {
    let mut rules = vec!["L-27"];
    for answer in &view.answers {
        let told = answer.trim_start_matches("ignored(");
        let of_guard = GUARDS.iter().find(|(reason, _)| told.starts_with(reason));
        if answer.starts_with("ignored") && !answer.contains("not_trigger_label") {
            rules.push("L-29");
        }
        rules.extend(of_guard.map(|(_, rule)| *rule));
    }
    rules.dedup();
    rules
}

fn starts_a_run(view: &View) -> bool {
    let mut answers = view.answers.iter();
    answers.any(|answer| answer.starts_with("accepted"))
}

fn rules_of_labels(step: &Move, view: &View) -> Vec<&'static str> {
    if starts_a_run(view) {
        return vec!["L-74"];
    }
    match step {
        Move::End { .. } => vec!["L-72", "L-73"],
        Move::Cancel { .. } => vec!["L-72", "L-82"],
        Move::Label { who, label, .. } if label == "state:approved" => {
            match reference::person(who).approver() {
                true => vec!["L-75", "L-77"],
                false => vec!["L-76"],
            }
        }
        Move::Label { label, .. } if label == "state:abandoned" => vec!["L-75", "L-83"],
        Move::Label { label, .. } if label.starts_with("state:") => vec!["L-75"],
        Move::Unlabel { label, .. } if label == "need:input" => vec!["L-84"],
        Move::Unlabel { label, .. } if label.starts_with("need:") => vec!["L-86"],
        Move::Review { state, .. } if state == "approved" => vec!["L-78"],
        Move::ClosePull { .. } => vec!["L-78"],
        _ if view.answers.iter().any(|answer| answer.contains("comment")) => vec!["L-42"],
        _ => vec!["L-27"],
    }
}

fn rules_of_runs(step: &Move, view: &View) -> Vec<&'static str> {
    if starts_a_run(view) {
        return vec!["L-44"];
    }
    match step {
        Move::End { .. } => vec!["L-48"],
        Move::Cancel { .. } => vec!["L-82"],
        Move::Label { label, .. } if label == "state:abandoned" => vec!["L-83"],
        Move::Unlabel { label, .. } if label == "mode:discussion" => vec!["L-107"],
        _ => vec!["L-29"],
    }
}
