//! The guards of L-29: which rule a reason of `webhook.ignored` belongs to.
use super::text::{SpecText, code_words, section, table_cells};

/// One row of the table of guards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The rule that the row defines.
    pub rule: String,
    /// Rules that it refers to.
    pub refers_to: Vec<String>,
    /// Reasons, as far as the row spells them; `<…>` stands for any word.
    pub reasons: Vec<String>,
}

pub(super) fn read(text: &SpecText) -> Vec<Guard> {
    let chapter = text.chapter("labels-and-stages.md");
    section(chapter, "## 2. Webhook ingress")
        .unwrap_or_default()
        .lines()
        .filter_map(table_cells)
        .filter(|cells| cells.len() == 3)
        .filter_map(|cells| {
            let rule = super::rules::rule_id(cells[0])?.to_owned();
            let reasons = [cells[1], cells[2]]
                .into_iter()
                .flat_map(code_words)
                .filter(|word| word.contains('_') && !word.contains('='))
                .map(str::to_owned)
                .collect();
            let refers_to = cells[1]
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                .filter_map(super::rules::rule_id)
                .map(str::to_owned)
                .collect();
            Some(Guard {
                rule,
                refers_to,
                reasons,
            })
        })
        .collect()
}

impl Guard {
    /// Whether the row gives this reason.
    pub fn gives(&self, reason: &str) -> bool {
        self.reasons
            .iter()
            .any(|known| match known.split_once('<') {
                Some((before, after)) => {
                    let after = after.split_once('>').map_or("", |(_, after)| after);
                    reason.len() > before.len() + after.len()
                        && reason.starts_with(before)
                        && reason.ends_with(after)
                }
                None => known == reason,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_belong_to_the_rule_of_their_row() {
        let guards = read(&SpecText::embedded());
        let rule = |reason: &str| -> Vec<&str> {
            guards
                .iter()
                .filter(|guard| guard.gives(reason))
                .map(|guard| guard.rule.as_str())
                .collect()
        };
        assert_eq!(rule("issue_closed"), ["L-36"]);
        assert_eq!(rule("sender_type_bot_not_permitted"), ["L-31"]);
        assert_eq!(rule("sender_role_read_not_permitted"), ["L-31"]);
        assert_eq!(rule("issue_state_blocked"), ["L-37"]);
        assert_eq!(rule("stage_gate_not_passed"), ["L-40"]);
        assert_eq!(rule("repository_preflight_failed"), ["L-115"]);
        assert_eq!(rule("issue_trigger_candidate_not_found"), ["L-41"]);
        assert!(rule("issue_event_not_trigger_label").is_empty());
    }
}
