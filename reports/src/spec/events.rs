//! The catalogue of audit events (DF-1): who may cause an event of each type, and what its payload may hold.
use super::SpecError;
use super::text::{SpecText, code_words, section, table_cells};

/// One type of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventKind {
    /// Such as `run.started`.
    pub name: String,
    /// Of `human`, `agent`, `system` those that its row names.
    pub actors: Vec<String>,
    /// Keys of the payload beyond `run_id` and `project_id`; one that ends in `*` stands for all that begin so.
    pub keys: Vec<String>,
}

const ACTORS: [&str; 3] = ["human", "agent", "system"];
/// A row that goes on with the payload of the row before it.
const AS_ABOVE: &str = "as above";

pub(super) fn read(text: &SpecText) -> Result<Vec<EventKind>, SpecError> {
    let chapter = text.chapter("data-and-api.md");
    let part = section(chapter, "## 2. `flow_events` catalogue").unwrap_or_default();
    let mut kinds: Vec<EventKind> = Vec::new();
    let mut above: Vec<String> = Vec::new();
    for cells in part.lines().filter_map(table_cells) {
        let &[types, actors, payload] = cells.as_slice() else {
            continue;
        };
        let mut keys = keys(payload);
        if payload.starts_with(AS_ABOVE) {
            keys.extend(above.iter().cloned());
        }
        for name in code_words(types) {
            if kinds.iter().any(|kind| kind.name == name) {
                return Err(SpecError::Disagreement(format!(
                    "{name} is in the catalogue of events twice"
                )));
            }
            kinds.push(EventKind {
                name: name.to_owned(),
                actors: ACTORS
                    .into_iter()
                    .filter(|actor| actors.contains(actor))
                    .map(str::to_owned)
                    .collect(),
                keys: keys.clone(),
            });
        }
        above = keys;
    }
    if kinds.is_empty() {
        return Err(SpecError::Disagreement(
            "the catalogue of events (DF-1) has no readable row".to_owned(),
        ));
    }
    Ok(kinds)
}

/// `resumed: a, b{x,y}, c[] (why); never d` has the keys a, b and c.
fn keys(payload: &str) -> Vec<String> {
    outside_brackets(payload)
        .split([',', ';', '+'])
        .map(|item| item.rsplit(':').next().unwrap_or_default().trim())
        .filter(|item| {
            !item.is_empty()
                && item
                    .trim_end_matches('*')
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '_')
        })
        .map(str::to_owned)
        .collect()
}

fn outside_brackets(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|c| match c {
            '{' | '(' | '[' => {
                depth += 1;
                false
            }
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                false
            }
            _ => depth == 0,
        })
        .collect()
}

impl EventKind {
    /// Whether its payload may have this key.
    pub fn allows(&self, key: &str) -> bool {
        matches!(key, "run_id" | "project_id")
            || self.keys.iter().any(|known| match known.strip_suffix('*') {
                Some(beginning) => key.starts_with(beginning),
                None => known == key,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_who_and_what() {
        let kinds = read(&SpecText::embedded()).expect("the catalogue");
        let kind = |name: &str| kinds.iter().find(|kind| kind.name == name).expect(name);
        let called = kind("mcp.tool.called");
        assert_eq!(called.actors, ["system"]);
        assert!(called.allows("tool") && called.allows("reason") && called.allows("run_id"));
        assert!(!called.allows("arguments") && !called.allows("never"));
        let resumed = kind("run.wait.resumed");
        assert!(resumed.allows("resolution_kind") && resumed.allows("event_key"));
        assert!(!resumed.allows("live"));
        assert_eq!(kind("run.canceled").actors, ["human", "system"]);
        let cleaned = kind("run.namespace.cleaned");
        assert!(cleaned.allows("namespace_lease_ttl") && cleaned.allows("lease_source"));
        assert!(kind("runtime_deploy.cancel_requested").allows("requested_by_email"));
        assert_eq!(kind("feedback.answered").actors, ["human", "system"]);
    }
}
