//! Each event against its row of the catalogue.
use serde_json::Value;

use super::Flaw;
use crate::spec::Specification;

/// Events that are not as the catalogue says (DF-1, DF-2, G-129, G-130).
pub fn off_catalogue(events: &[&Value], specification: &Specification) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let name = event["event_type"].as_str().unwrap_or_default();
        let mut flaw = |problem: String| {
            flaws.push(Flaw {
                subject: format!("event {} {name}", event["id"]),
                problem,
                index,
            });
        };
        let Some(kind) = specification.events.iter().find(|kind| kind.name == name) else {
            flaw("the catalogue has no such type".to_owned());
            continue;
        };
        let actor = event["actor_type"].as_str().unwrap_or_default();
        if !kind.actors.iter().any(|known| known == actor) {
            flaw(format!(
                "caused by {actor:?}, not by {}",
                kind.actors.join(" or ")
            ));
        }
        if event["actor_id"]
            .as_str()
            .is_none_or(|id| id.trim().is_empty())
        {
            flaw("nobody is named as its actor".to_owned());
        }
        let payload = &event["payload"];
        for key in payload
            .as_object()
            .into_iter()
            .flat_map(|payload| payload.keys())
        {
            if !kind.allows(key) {
                flaw(format!("its payload has {key:?}"));
            }
        }
        for key in ["run_id", "project_id"] {
            if !event[key].is_null() && payload[key] != event[key] {
                flaw(format!("its payload lacks its {key}"));
            }
        }
    }
    flaws
}
