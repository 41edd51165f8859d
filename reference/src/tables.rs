//! The tables of the specification, read out of its text: L-6, L-36, L-42, L-69, L-92.

use std::collections::BTreeMap;

const SPECIFICATION: &str = include_str!("../../docs/spec/labels-and-stages.md");

/// States that exclude each other on one thread (L-75).
pub const EXCLUSIVE: [&str; 4] = [
    "state:in-review",
    "state:approved",
    "state:superseded",
    "state:abandoned",
];

/// Labels that ask a role for something (table 1.3); `need:input` is none of them.
pub const ROLE_LABELS: [&str; 7] = [
    "need:pm",
    "need:sa",
    "need:qa",
    "need:sre",
    "need:em",
    "need:km",
    "need:reviewer",
];

/// What the tables say about a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    /// Agent (L-6).
    pub agent: String,
    /// It has a revise label (L-5, L-6).
    pub revise: bool,
    /// It only continues a candidate (L-6, L-66).
    pub needs_candidate: bool,
    /// It may start on a closed Issue (L-36).
    pub on_closed_issue: bool,
    /// Place on the main path (L-69).
    pub main_path: Option<usize>,
    /// Stages that its row of L-92 leads to.
    pub targets: Vec<String>,
}

/// What an ignored delivery leads to (L-42).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reaction {
    pub comment: bool,
    pub need_input: bool,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    pub stages: BTreeMap<String, Stage>,
    /// By reason; the reasons of a sender are under `sender`.
    pub reactions: BTreeMap<String, Reaction>,
}

impl Tables {
    /// Reads the specification.
    pub fn from_specification() -> Self {
        let mut stages = BTreeMap::new();
        for row in rows_below("| Stage | Work label |") {
            let quoted_label = format!("`run:{}`", row[0]);
            assert_eq!(row[1], quoted_label, "L-6 names the label after its stage");
            let stage = Stage {
                agent: quoted(row[3])[0].to_owned(),
                revise: row[2] != "none",
                needs_candidate: row[6].starts_with("candidate lineage required"),
                ..Stage::default()
            };
            stages.insert(row[0].to_owned(), stage);
        }
        for name in between("stage not in {", "}").split(", ") {
            stage_named(&mut stages, name).on_closed_issue = true;
        }
        for (position, name) in between("Main path: `", "`").split(", ").enumerate() {
            stage_named(&mut stages, name).main_path = Some(position);
        }
        for row in rows_below("| Stage done | revise |") {
            let labels = quoted(row[2]);
            let targets = labels.iter().filter_map(|text| text.strip_prefix("run:"));
            stage_named(&mut stages, row[0]).targets = targets.map(str::to_owned).collect();
        }
        let mut reactions = BTreeMap::new();
        for row in rows_below("| Reason | Comment |") {
            let reaction = Reaction {
                comment: !row[1].starts_with("no"),
                need_input: row[2].starts_with("yes"),
            };
            for reason in quoted(row[0]) {
                let of_sender = reason.starts_with("sender_");
                let key = if of_sender { "sender" } else { reason };
                reactions.insert(key.to_owned(), reaction);
            }
        }
        assert_eq!((stages.len(), reactions.len()), (15, 19), "L-6 and L-42");
        Self { stages, reactions }
    }

    pub fn stage(&self, name: &str) -> &Stage {
        &self.stages[name]
    }

    /// The row of L-42.
    pub fn reaction(&self, reason: &str) -> Reaction {
        let of_sender = reason.starts_with("sender_");
        self.reactions[if of_sender { "sender" } else { reason }]
    }

    /// Stage of a trigger label and whether it revises; none for any other label (L-3).
    pub fn trigger(&self, label: &str) -> Option<(String, bool)> {
        let name = canonical(label);
        let rest = name.strip_prefix("run:")?;
        let (stage, revise) = match rest.strip_suffix(":revise") {
            Some(stage) => (stage, true),
            None => (rest, false),
        };
        let known = self.stages.get(stage)?;
        (!revise || known.revise).then(|| (stage.to_owned(), revise))
    }

    /// All trigger labels.
    pub fn trigger_labels(&self) -> Vec<String> {
        let mut labels = Vec::new();
        for (name, stage) in &self.stages {
            labels.push(trigger_label(name, false));
            if stage.revise {
                labels.push(trigger_label(name, true));
            }
        }
        labels
    }
}

/// A name as it is compared (L-2).
pub fn canonical(label: &str) -> String {
    label.trim().to_lowercase()
}

pub fn trigger_label(stage: &str, revise: bool) -> String {
    format!("run:{stage}{}", if revise { ":revise" } else { "" })
}

/// Kind of a run (L-4).
pub fn kind(stage: &str, revise: bool) -> String {
    let suffix = if revise { "_revise" } else { "" };
    format!("{}{suffix}", stage.replace('-', "_"))
}

fn stage_named<'a>(stages: &'a mut BTreeMap<String, Stage>, name: &str) -> &'a mut Stage {
    stages
        .get_mut(name)
        .unwrap_or_else(|| panic!("L-6 has a stage {name}"))
}

fn between(start: &str, end: &str) -> &'static str {
    let (_, rest) = SPECIFICATION
        .split_once(start)
        .unwrap_or_else(|| panic!("the specification says {start:?}"));
    rest.split(end).next().unwrap_or(rest)
}

fn rows_below(head: &str) -> Vec<Vec<&'static str>> {
    let lines = SPECIFICATION.lines();
    lines
        .skip_while(|line| !line.starts_with(head))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}
