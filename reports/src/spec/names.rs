//! Names that steps compare the world with, from the chapters that this crate was compiled with.
use std::sync::OnceLock;

use super::{LabelGroup, Specification};

/// Stages whose labels a person may choose between (L-57, L-98): those that have a revise label.
const SUFFIX_OF_REVISE: &str = ":revise";

fn embedded() -> &'static Specification {
    static BOOK: OnceLock<Specification> = OnceLock::new();
    BOOK.get_or_init(|| {
        Specification::embedded().expect("a test of this crate parses the chapters compiled in")
    })
}

/// The 28 trigger labels of L-6.
pub fn trigger_labels() -> &'static [String] {
    static LABELS: OnceLock<Vec<String>> = OnceLock::new();
    LABELS.get_or_init(|| {
        embedded()
            .labels
            .iter()
            .filter(|label| label.group == LabelGroup::Trigger)
            .map(|label| label.name.clone())
            .collect()
    })
}

/// The 26 work and revise labels of the 13 stages that have both (L-5, L-57).
pub fn stage_labels() -> &'static [String] {
    static LABELS: OnceLock<Vec<String>> = OnceLock::new();
    LABELS.get_or_init(|| {
        let all = trigger_labels();
        all.iter()
            .filter(|label| {
                label.ends_with(SUFFIX_OF_REVISE)
                    || all.contains(&format!("{label}{SUFFIX_OF_REVISE}"))
            })
            .cloned()
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_the_specification_says() {
        assert_eq!(trigger_labels().len(), 28);
        assert_eq!(stage_labels().len(), 26);
        assert!(!stage_labels().contains(&"run:rethink".to_owned()));
    }
}
