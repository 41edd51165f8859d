//! What the steps expect of labels, read from the specification and never from the product.

use std::sync::LazyLock;

use reports::spec::{LabelGroup, SpecText, Specification, StageRow};

static SPECIFICATION: LazyLock<Specification> = LazyLock::new(|| {
    Specification::embedded()
        .expect("the specification of this checkout is consistent: reports tests it")
});

/// All 54 labels (L-1).
#[must_use]
pub fn catalogue() -> Vec<String> {
    SPECIFICATION
        .labels
        .iter()
        .map(|label| label.name.clone())
        .collect()
}

/// The 28 trigger labels of table 1.1 (L-6).
#[must_use]
pub fn trigger_labels() -> Vec<String> {
    SPECIFICATION
        .labels
        .iter()
        .filter(|label| label.group == LabelGroup::Trigger)
        .map(|label| label.name.clone())
        .collect()
}

/// The rules behind a reason of `webhook.ignored` (L-28, tables of L-29 and L-42).
#[must_use]
pub fn rules_of_reason(reason: &str) -> Vec<&'static str> {
    let mut rules: Vec<&'static str> = SPECIFICATION
        .guards
        .iter()
        .filter(|guard| guard.gives(reason))
        .flat_map(|guard| std::iter::once(&guard.rule).chain(&guard.refers_to))
        .map(String::as_str)
        .collect();
    // The row of L-40 stands for two rules with a reason each.
    match reason {
        "stage_transition_not_allowed" => rules.retain(|rule| *rule != "L-71"),
        "stage_gate_not_passed" => rules.retain(|rule| *rule != "L-70"),
        "issue_event_not_trigger_label" => rules.push("L-28"),
        _ => {}
    }
    rules
}

/// What the table of L-6 says of a trigger label, work or revise.
#[must_use]
pub fn stage_of(label: &str) -> Option<&'static StageRow> {
    SPECIFICATION
        .stages
        .iter()
        .find(|row| row.work_label == label || row.revise_label.as_deref() == Some(label))
}

/// The labels of one configuring group: `model` or `reasoning` (1.4).
#[must_use]
pub fn group(name: &str) -> Vec<String> {
    let wanted = match name {
        "model" => LabelGroup::Model,
        _ => LabelGroup::Reasoning,
    };
    SPECIFICATION
        .labels
        .iter()
        .filter(|label| label.group == wanted)
        .map(|label| label.name.clone())
        .collect()
}

/// The labels that configure the agent (1.4).
#[must_use]
pub fn configuration_labels() -> Vec<String> {
    SPECIFICATION
        .labels
        .iter()
        .filter(|label| matches!(label.group, LabelGroup::Model | LabelGroup::Reasoning))
        .map(|label| label.name.clone())
        .collect()
}

/// The 26 labels of stages that have a revise label (L-5, L-57).
#[must_use]
pub fn stage_labels() -> Vec<String> {
    let all = trigger_labels();
    all.iter()
        .filter(|label| label.ends_with(":revise") || all.contains(&format!("{label}:revise")))
        .cloned()
        .collect()
}

/// What the comment after a stage offers, as `label=variant` in the order of the matrix (L-92).
#[must_use]
pub fn steps_after(stage: &str, with_pull_request: bool) -> Vec<String> {
    let text = SpecText::embedded();
    let chapter = text.chapter("labels-and-stages.md");
    let matrix = chapter
        .split("- **L-92**")
        .nth(1)
        .and_then(|rest| rest.split("- **L-93**").next())
        .expect("the specification of this checkout has the matrix: a test reads it");
    let row: Vec<&str> = matrix
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .find(|cells: &Vec<&str>| cells[0] == stage)
        .unwrap_or_default();
    let [
        _,
        revise,
        targets,
        reviewer,
        rethink,
        doc_audit,
        self_improve,
    ] = row[..]
    else {
        return Vec::new();
    };
    let yes = |cell: &str| cell.starts_with("yes");
    let mut steps = Vec::new();
    if yes(revise) {
        steps.push(format!("run:{stage}:revise=revise"));
    }
    let quoted: Vec<&str> = targets.split('`').skip(1).step_by(2).collect();
    steps.extend(quoted.chunks(2).map(|pair| pair.join("=")));
    if yes(reviewer) && with_pull_request {
        steps.push("need:reviewer=reviewer".to_owned());
    }
    for (cell, step) in [
        (rethink, "run:rethink=rethink"),
        (doc_audit, "run:doc-audit=doc_audit"),
        (self_improve, "run:self-improve=self_improve"),
    ] {
        if yes(cell) {
            steps.push(step.to_owned());
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_matrix_is_read_in_its_order() {
        assert_eq!(
            super::steps_after("dev", true),
            [
                "run:dev:revise=revise",
                "run:qa=all_flows",
                "need:reviewer=reviewer",
                "run:rethink=rethink",
                "run:doc-audit=doc_audit"
            ]
        );
        assert_eq!(super::steps_after("rethink", true).len(), 3);
        assert_eq!(super::steps_after("self-improve", false).len(), 2);
        assert!(super::steps_after("ai-repair", true).is_empty());
    }

    #[test]
    fn the_specification_names_28_trigger_labels_and_26_stage_labels() {
        assert_eq!(super::trigger_labels().len(), 28);
        assert_eq!(super::stage_labels().len(), 26);
    }
}
