//! The label catalogue as people read it.
use axum::Json;
use axum::extract::State;
use domain::labels::{CatalogueLabel, LabelGroup};
use serde_json::{Value, json};

use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::http_api::ApiError;

/// The 54 labels under their configured names.
pub(super) async fn list(
    State(services): State<Services>,
    _principal: Principal,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    let items: Vec<Value> = services
        .app
        .policy
        .labels
        .entries()
        .map(|(label, name)| {
            let trigger_kind = match label {
                CatalogueLabel::Trigger(kind) => Some(kind.to_string()),
                _ => None,
            };
            json!({
                "label": name,
                "class": class(label),
                "trigger_kind": trigger_kind,
                "description": label.description(),
            })
        })
        .collect();
    Ok(Json(json!({ "items": items })))
}

fn class(label: CatalogueLabel) -> &'static str {
    match label.group() {
        LabelGroup::Trigger => "run",
        LabelGroup::Modifier if label.default_name().starts_with("mode:") => "mode",
        LabelGroup::Modifier => "run",
        LabelGroup::State => "state",
        LabelGroup::Need => "need",
        LabelGroup::Model => "model",
        LabelGroup::Reasoning => "reasoning",
    }
}
