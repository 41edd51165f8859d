//! The body of a delivery (governance 7), and the token that the adapter calls back with.
use chrono::{DateTime, Duration, Utc};
use domain::notifications::DeliveryRole;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::handles::buttons;
use crate::app::App;
use crate::credentials::{RunTokenError, RunTokenSubject};
use crate::store::notifications::{DueAttempt, InteractionRow};

/// G-136: a late answer is still told what it is.
const LATE_ANSWERS: Duration = Duration::hours(24);
/// The language of what the platform writes itself.
const LOCALE: &str = "en";

/// Why a delivery cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error(transparent)]
    Row(#[from] sqlx::Error),
    #[error(transparent)]
    Token(#[from] RunTokenError),
    #[error("failed to write a delivery: this process mints no tokens")]
    NoKey,
}

/// Writes the body of one attempt.
pub fn envelope(
    app: &App,
    row: &InteractionRow,
    attempt: &DueAttempt,
    role: DeliveryRole,
    now: DateTime<Utc>,
) -> Result<Value, EnvelopeError> {
    let keys = app.run_tokens.as_ref().ok_or(EnvelopeError::NoKey)?;
    let expires_at = row.response_deadline_at.unwrap_or(now) + LATE_ANSWERS;
    let subject = RunTokenSubject {
        run_id: row.run_id,
        correlation_id: row.correlation_id.clone(),
        project_id: Some(row.project_id),
        namespace: String::new(),
        runtime_mode: String::new(),
    };
    let token = keys.mint_callback(row.id, &subject, now, expires_at)?;
    let kind = row.kind()?;
    // What is answered offers nothing to press.
    let handles: Vec<Value> = match role {
        DeliveryRole::Primary => buttons(&app.config, row.id, kind, &row.request_payload_json),
        DeliveryRole::Edit | DeliveryRole::FollowUp => Vec::new(),
    }
    .iter()
    .map(|button| {
        json!({
            "handle": button.handle.expose_secret(),
            "handle_kind": button.kind,
            "button_label": button.label,
            "expires_at": row.response_deadline_at,
        })
    })
    .collect();
    let continuation = (role != DeliveryRole::Primary).then(|| {
        json!({
            "interaction_state": row.state,
            "selected_option_id": row.selected_option_id,
        })
    });
    Ok(json!({
        "schema_version": "v1",
        "delivery_id": attempt.delivery_id,
        "delivery_role": role,
        "interaction_id": row.id,
        "interaction_kind": kind,
        "correlation_id": row.correlation_id,
        "recipient_provider": row.recipient_provider,
        "recipient_ref": row.recipient_ref,
        "locale": LOCALE,
        "content": row.request_payload_json,
        "context_links": row.context_links_json,
        "callback_endpoint": {
            "url": format!("{}/api/v1/mcp/interactions/callback", app.config.interaction_callback_base_url),
            "bearer_token": token.expose_secret(),
            "token_expires_at": expires_at,
            "handles": handles,
        },
        "provider_message_ref": row.provider_message_ref,
        "continuation": continuation,
        "delivery_deadline_at": row.response_deadline_at,
    }))
}
