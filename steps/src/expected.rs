//! What the steps expect of labels, read from the specification and never from the product.

use std::sync::LazyLock;

use reports::spec::{LabelGroup, Specification, StageRow};

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

/// What the table of L-6 says of a trigger label, work or revise.
#[must_use]
pub fn stage_of(label: &str) -> Option<&'static StageRow> {
    SPECIFICATION
        .stages
        .iter()
        .find(|row| row.work_label == label || row.revise_label.as_deref() == Some(label))
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_specification_names_28_trigger_labels_and_26_stage_labels() {
        assert_eq!(super::trigger_labels().len(), 28);
        assert_eq!(super::stage_labels().len(), 26);
    }
}
