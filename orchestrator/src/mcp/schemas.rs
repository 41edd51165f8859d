//! Names, descriptions and closed schemas of the served tools (2.1, 2.2, G-5).
use domain::tools::{STATUS_LIMIT_CHARACTERS, ToolCategory, ToolName};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};
use std::sync::Arc;

/// A tool as `tools/list` shows it.
pub fn described(tool: ToolName) -> Tool {
    let (description, input, output) = match tool {
        ToolName::StatusReport => (
            "Tells people what you are doing now, in one short sentence.",
            object(
                json!({"status": {"type": "string", "minLength": 1, "maxLength": STATUS_LIMIT_CHARACTERS}}),
                &["status"],
            ),
            object(
                json!({"status": {"const": "ok"}, "reported_status": {"type": "string"}}),
                &["status", "reported_status"],
            ),
        ),
        ToolName::LabelsList => (
            "Reads the labels of your Issue or pull request.",
            object(json!({"issue_number": number()}), &[]),
            labels_output(),
        ),
        ToolName::LabelsAdd => (
            "Sets labels on your Issue or pull request.",
            changing(json!({"labels": labels()}), &["labels"]),
            labels_output(),
        ),
        ToolName::LabelsRemove => (
            "Takes labels off your Issue or pull request.",
            changing(json!({"labels": labels()}), &["labels"]),
            labels_output(),
        ),
        ToolName::LabelsTransition => (
            "Takes labels off your Issue or pull request and sets others in their place.",
            changing(
                json!({"add_labels": labels(), "remove_labels": labels()}),
                &[],
            ),
            labels_output(),
        ),
        ToolName::OwnerFeedback => (
            "Asks the owner a question and waits for the answer. Say what you need and end your turn, or go on with what \
             does not depend on it; the same call made again tells what came of it.",
            object(
                json!({
                    "question": {"type": "string", "minLength": 1, "maxLength": 500},
                    "options": {"type": "array", "minItems": 2, "maxItems": 5,
                        "items": {"type": "string", "minLength": 1, "maxLength": 64}},
                    "allow_custom": {"type": "boolean"},
                    "response_ttl_seconds": {"type": "integer", "minimum": 60, "maximum": 604_800},
                    "justification": justification(),
                    "idempotency_key": idempotency_key(),
                    "dry_run": {"type": "boolean"},
                }),
                &["question", "options"],
            ),
            asked_output(json!({
                "question": {"type": "string"},
                "options": {"type": "array", "items": {"type": "object", "additionalProperties": false,
                    "properties": {"option_id": {"type": "string"}, "label": {"type": "string"}},
                    "required": ["option_id", "label"]}},
                "wait_state": {"type": "string"},
                "expires_at": {"type": "string"},
            })),
        ),
        ToolName::SecretSync => (
            "Writes one secret to GitHub and to a Secret in the cluster. Somebody agrees first: your run waits. You never \
             see or send the value.",
            object(
                json!({
                    "environment": {"type": "string"},
                    "github_secret_name": {"type": "string", "pattern": "^[A-Z_][A-Z0-9_]{0,99}$"},
                    "github_scope": {"enum": ["environment", "repository"]},
                    "kubernetes_secret_name": {"type": "string", "minLength": 1, "maxLength": 253},
                    "kubernetes_secret_key": {"type": "string", "pattern": "^[-._A-Za-z0-9]{1,253}$"},
                    "kubernetes_namespace": {"type": "string", "minLength": 1, "maxLength": 63},
                    "policy": {"enum": ["deterministic", "random", "provided"]},
                    "project_id": {"type": "string"},
                    "repository": {"type": "string"},
                    "justification": justification(),
                    "idempotency_key": idempotency_key(),
                    "dry_run": {"type": "boolean"},
                }),
                &[
                    "environment",
                    "github_secret_name",
                    "kubernetes_secret_name",
                ],
            ),
            asked_output(json!({
                "environment": {"type": "string"},
                "github_ref": {"type": "string"},
                "kubernetes_ref": {"type": "string"},
                "policy": {"type": "string"},
                "dry_run": {"type": "boolean"},
            })),
        ),
        ToolName::DatabaseLifecycle => (
            "Makes, describes or deletes a database of your project. Somebody agrees to a creation or deletion first: \
             your run waits.",
            object(
                json!({
                    "environment": {"type": "string"},
                    "action": {"enum": ["create", "delete", "describe"]},
                    "database_name": {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_-]{0,62}$"},
                    "confirm_delete": {"type": "boolean"},
                    "justification": justification(),
                    "idempotency_key": idempotency_key(),
                    "dry_run": {"type": "boolean"},
                }),
                &["environment", "action", "database_name"],
            ),
            asked_output(json!({
                "environment": {"type": "string"},
                "action": {"type": "string"},
                "database_name": {"type": "string"},
                "applied": {"type": "boolean"},
                "exists": {"type": "boolean"},
                "owned_by_project": {"type": "boolean"},
                "owner_project_id": {"type": "string"},
                "dry_run": {"type": "boolean"},
            })),
        ),
        ToolName::UserNotify => (
            "Tells the person whom you work for something. Nobody answers; go on with your work.",
            object(
                json!({
                    "notification_kind": {"enum": ["completion", "next_step", "status_update", "warning"]},
                    "summary": {"type": "string", "minLength": 1, "maxLength": 200},
                    "details_markdown": {"type": "string", "minLength": 1, "maxLength": 8000},
                    "action_label": {"type": "string", "minLength": 1, "maxLength": 64},
                    "action_url": {"type": "string", "pattern": "^https://", "maxLength": 2000},
                    "idempotency_key": idempotency_key(),
                }),
                &["notification_kind", "summary"],
            ),
            object(
                json!({
                    "status": {"type": "string"},
                    "interaction_id": {"type": "string"},
                    "delivery_state": {"type": "string"},
                    "reused": {"type": "boolean"},
                }),
                &["status"],
            ),
        ),
        ToolName::UserDecision => (
            "Asks the person whom you work for to choose, and waits for the answer. Say what you need and end your turn, \
             or go on with what does not depend on it; the same call made again tells what came of it.",
            object(
                json!({
                    "question": {"type": "string", "minLength": 1, "maxLength": 500},
                    "details_markdown": {"type": "string", "minLength": 1, "maxLength": 8000},
                    "options": {"type": "array", "minItems": 2, "maxItems": 5, "items": {
                        "type": "object", "additionalProperties": false,
                        "properties": {
                            "option_id": {"type": "string", "minLength": 1, "maxLength": 64},
                            "label": {"type": "string", "minLength": 1, "maxLength": 64},
                            "description": {"type": "string", "minLength": 1, "maxLength": 500},
                        },
                        "required": ["option_id", "label"]}},
                    "allow_free_text": {"type": "boolean"},
                    "free_text_placeholder": {"type": "string", "minLength": 1, "maxLength": 64},
                    "response_ttl_seconds": {"type": "integer", "minimum": 60, "maximum": 86_400},
                    "idempotency_key": idempotency_key(),
                }),
                &["question", "options"],
            ),
            asked_output(json!({
                "interaction_id": {"type": "string"},
                "wait_state": {"type": "string"},
                "wait_reason": {"type": "string"},
                "expires_at": {"type": ["string", "null"]},
            })),
        ),
        ToolName::SelfImproveRunsList => (
            "Lists the runs of your project, newest first.",
            object(paged(json!({})), &[]),
            runs_output(),
        ),
        ToolName::SelfImproveRunLookup => (
            "Finds the runs of an Issue or a pull request of your project, newest first; name at least one of them.",
            object(
                paged(json!({"issue_number": number(), "pull_request_number": number()})),
                &[],
            ),
            runs_output(),
        ),
        ToolName::SelfImproveSessionGet => (
            "Reads the session that a run of your project has left. Keep it at the path that the answer names.",
            object(
                json!({"run_id": {"type": "string", "format": "uuid"}}),
                &["run_id"],
            ),
            object(
                json!({
                    "status": {"const": "ok"},
                    "run_id": {"type": "string"},
                    "tmp_directory": {"type": "string"},
                    "tmp_file_path": {"type": "string"},
                    "codex_session_json": {"type": "string"},
                }),
                &[
                    "status",
                    "run_id",
                    "tmp_directory",
                    "tmp_file_path",
                    "codex_session_json",
                ],
            ),
        ),
    };
    let annotations = ToolAnnotations::new().read_only(tool.category() == ToolCategory::Read);
    Tool::new(tool.as_str(), description, input)
        .with_raw_output_schema(output)
        .with_annotations(annotations)
}

fn object(properties: Value, required: &[&str]) -> Arc<JsonObject> {
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    match schema {
        Value::Object(schema) => Arc::new(schema),
        _ => Arc::default(),
    }
}

/// What a question about runs may say beside what they are of.
fn paged(mut properties: Value) -> Value {
    properties["repository_full_name"] = json!({"type": "string"});
    properties["page"] = number();
    properties["limit"] = number();
    properties
}

fn runs_output() -> Arc<JsonObject> {
    let text = || json!({"type": "string"});
    let known = |kind: &str| json!({"type": [kind, "null"]});
    let item = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "run_id": text(),
            "correlation_id": text(),
            "project_id": text(),
            "repository_full_name": text(),
            "agent_key": known("string"),
            "issue_number": known("integer"),
            "issue_url": known("string"),
            "pull_request_number": known("integer"),
            "pull_request_url": known("string"),
            "trigger_kind": text(),
            "trigger_label": text(),
            "status": text(),
            "created_at": text(),
            "started_at": known("string"),
            "finished_at": known("string"),
        },
        "required": ["run_id", "status"],
    });
    object(
        json!({
            "status": {"const": "ok"},
            "items": {"type": "array", "items": item},
            "page": number(),
            "limit": number(),
            "has_next": {"type": "boolean"},
        }),
        &["status", "items", "page", "limit", "has_next"],
    )
}

fn changing(mut properties: Value, required: &[&str]) -> Arc<JsonObject> {
    properties["issue_number"] = number();
    properties["idempotency_key"] = idempotency_key();
    properties["dry_run"] = json!({"type": "boolean"});
    object(properties, required)
}

fn justification() -> Value {
    json!({"type": "string", "minLength": 10, "maxLength": 500})
}

fn idempotency_key() -> Value {
    json!({"type": "string", "pattern": "^[A-Za-z0-9._:/-]{1,128}$"})
}

/// The output of a tool that may ask somebody: while it is asked, and what came of it.
fn asked_output(mut properties: Value) -> Arc<JsonObject> {
    for name in [
        "status",
        "approval_state",
        "message",
        "response_kind",
        "selected_option_id",
        "free_text",
        "reason",
        "resolved_at",
        "resolution_reason",
    ] {
        properties[name] = json!({"type": "string"});
    }
    properties["request_id"] = json!({"type": "integer"});
    properties["reused"] = json!({"type": "boolean"});
    object(properties, &["status"])
}

fn number() -> Value {
    json!({"type": "integer", "minimum": 1})
}

fn labels() -> Value {
    json!({"type": "array", "maxItems": 20, "items": {"type": "string", "minLength": 1, "maxLength": 50}})
}

fn labels_output() -> Arc<JsonObject> {
    let names = json!({"type": "array", "items": {"type": "string"}});
    let label = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": false});
    asked_output(json!({
        "labels": {"type": "array", "items": label},
        "applied": names,
        "unchanged": names,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_described_with_closed_schemas() {
        for tool in ToolName::ALL {
            let described = described(*tool);
            let output = described.output_schema.expect("an output schema");
            for schema in [described.input_schema, output] {
                assert_eq!(schema["additionalProperties"], json!(false), "{tool}");
            }
        }
    }
}
