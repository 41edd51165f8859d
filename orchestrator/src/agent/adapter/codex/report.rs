//! The report that the CLI's last message is, by a schema that the CLI holds the model to.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::agent::report::{Report, known_risks, risk_signals};

/// Every field is required, since structured output knows no optional ones; empty says nothing.
pub(super) fn schema() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let texts = |description: &str| json!({"type": "array", "items": {"type": "string"}, "description": description});
    let properties = json!({
        "summary": text("What was done, in a sentence or two; in a discussion, the whole answer"),
        "pull_request": {
            "type": ["integer", "null"],
            "description": "Number of the pull request that holds the work, if you opened or chose one; else null, and the platform opens it",
        },
        "diagnosis": text("Of a self-improvement: what is wrong; else empty"),
        "action_items": texts("Of a self-improvement: what to do; else empty"),
        "evidence_refs": texts("Of a self-improvement: where it shows; else empty"),
        "tool_gaps": texts("Programs that were missing in the image"),
        "risk_signals": {
            "type": "array",
            "items": {"type": "string", "enum": known_risks()},
            "description": "Risks of the work that its Issue does not name; else empty",
        },
    });
    let required: Vec<&String> = properties
        .as_object()
        .map(|properties| properties.keys().collect())
        .unwrap_or_default();
    json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

#[derive(Debug, Deserialize)]
struct Told {
    summary: String,
    #[serde(default)]
    pull_request: Option<u64>,
    #[serde(default)]
    diagnosis: String,
    #[serde(default)]
    action_items: Vec<String>,
    #[serde(default)]
    evidence_refs: Vec<String>,
    #[serde(default)]
    tool_gaps: Vec<String>,
    #[serde(default)]
    risk_signals: Vec<String>,
}

/// Reads the last message; an error says what is wrong with it.
pub(super) fn parse(message: Option<&str>) -> Result<Report, String> {
    let message = message.ok_or("the agent ended without a message")?;
    let told: Told = serde_json::from_str(message.trim())
        .map_err(|error| format!("the agent's last message is no report ({error})"))?;
    let risk_signals = risk_signals(&told.risk_signals)?;
    let values = |texts: Vec<String>| texts.into_iter().map(Value::String).collect();
    Ok(Report {
        summary: Some(told.summary).filter(|text| !text.trim().is_empty()),
        pull_request: told.pull_request,
        diagnosis: told.diagnosis,
        action_items: values(told.action_items),
        evidence_refs: values(told.evidence_refs),
        tool_gaps: values(told.tool_gaps),
        risk_signals,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_by_the_schema_is_a_report() {
        let told = json!({
            "summary": "Done.", "pull_request": 7, "diagnosis": "", "action_items": [], "evidence_refs": ["#7"],
            "tool_gaps": ["jq"], "risk_signals": ["db_migration"],
        });
        let schema = schema();
        for (field, value) in told.as_object().expect("an object") {
            let kind = match value {
                Value::Array(_) => json!("array"),
                Value::Number(_) => json!(["integer", "null"]),
                _ => json!("string"),
            };
            assert_eq!(schema["properties"][field]["type"], kind, "{field}");
        }
        assert_eq!(schema["required"].as_array().map(Vec::len), Some(7));
        let report = parse(Some(&told.to_string())).expect("a report");
        assert_eq!(report.summary.as_deref(), Some("Done."));
        assert_eq!(report.pull_request, Some(7));
        assert_eq!(report.evidence_refs, [json!("#7")]);
        assert_eq!(report.tool_gaps, [json!("jq")]);
        assert_eq!(report.risk_signals.len(), 1);
    }

    #[test]
    fn anything_else_says_why_it_is_none() {
        for (message, reason) in [
            (None, "without a message"),
            (Some("All done!"), "no report"),
            (Some("{\"diagnosis\": \"\"}"), "missing field `summary`"),
            (
                Some("{\"summary\": \"\", \"risk_signals\": [\"big\"]}"),
                "none of the risks",
            ),
        ] {
            let error = parse(message).expect_err("no report");
            assert!(error.contains(reason), "{error}");
        }
    }
}
