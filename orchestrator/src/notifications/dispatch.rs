//! One attempt at a delivery (G-134, G-140): sent outside of any transaction, its end written down in one.
use std::time::Duration;

use domain::notifications::{
    Acknowledgement, AfterFailure, Continuation, DeliveryError, DeliveryRole, Dispatched,
    InteractionEnd, InteractionKind, InteractionState, after_failure, dispatch_attempted,
    retry_scheduled,
};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::ending::end_unanswered;
use super::envelope::{EnvelopeError, envelope};
use crate::app::App;
use crate::conduct::Acting;
use crate::secrets::{Column, ColumnCipherError};
use crate::store::callback_adapters::{self, Destination};
use crate::store::notifications::{self, DueAttempt, InteractionRow};
use crate::store::{clock, events};
use crate::transition;
use crate::wakeups::Channel;

/// G-134.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An acknowledgement is a handful of short members.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;
/// Behind the address of an adapter.
const DELIVERY_PATH: &str = "/v1/interaction-deliveries";

/// Why an attempt came to no end; it is taken up again when it counts as stuck.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error("failed to read or write a delivery")]
    Store(#[from] sqlx::Error),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("failed to read the token of an adapter")]
    Token(#[from] ColumnCipherError),
    #[error("failed to deliver: this process holds no encryption key")]
    NoKey,
}

/// The client that deliveries are made with.
///
/// # Errors
/// The platform's TLS configuration cannot be used.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

/// How an attempt ended.
enum Outcome {
    Taken(Acknowledgement),
    Failed(DeliveryError, bool),
}

/// Makes one attempt.
pub async fn deliver(
    app: &App,
    http: &reqwest::Client,
    attempt: &DueAttempt,
) -> Result<(), DispatchError> {
    let Some(row) = notifications::find(&app.pool, attempt.interaction_id).await? else {
        return Ok(());
    };
    let Some(role) = DeliveryRole::from_text(&attempt.delivery_role) else {
        return Ok(());
    };
    if role == DeliveryRole::Primary && row.state()? != InteractionState::PendingDispatch {
        // It was answered, or its run has ended, before anybody was told.
        let mut connection = app.pool.acquire().await?;
        notifications::end_attempt(&mut connection, attempt.id, "failed", None).await?;
        return Ok(());
    }
    let adapter_id = match row.adapter_id {
        Some(id) => Some(id),
        None => callback_adapters::for_delivery(&app.pool, row.project_id).await?,
    };
    let destination = match adapter_id {
        Some(id) => callback_adapters::destination(&app.pool, id).await?,
        None => None,
    };
    let outcome = match (app.conduct.acting(&row.repository_full_name), &destination) {
        (Acting::NotAtAll, _) => return Ok(()),
        (Acting::OnPaper, _) => Outcome::Taken(Acknowledgement {
            accepted: true,
            adapter_delivery_id: None,
            provider_message_ref: None,
            edit_capability: None,
            retryable: false,
        }),
        (Acting::InTheWorld, None) => Outcome::Failed(DeliveryError::UnsupportedAdapter, false),
        (Acting::InTheWorld, Some(destination)) => {
            let now = clock::now(&app.pool).await?;
            let body = envelope(app, &row, attempt, role, now)?;
            send(app, http, destination, &body).await?
        }
    };
    record(app, attempt, role, destination.as_ref(), &outcome).await
}

async fn send(
    app: &App,
    http: &reqwest::Client,
    destination: &Destination,
    body: &Value,
) -> Result<Outcome, DispatchError> {
    let cipher = app.cipher.as_ref().ok_or(DispatchError::NoKey)?;
    let place = Column {
        table: "callback_adapters",
        column: "delivery_token_encrypted",
        row: &destination.id.to_string(),
    };
    let token = cipher.open(place, &destination.delivery_token_encrypted)?;
    let url = format!(
        "{}{DELIVERY_PATH}",
        destination.delivery_url.trim_end_matches('/')
    );
    let unreachable = || Outcome::Failed(DeliveryError::TransportUnavailable, true);
    let Ok(mut answer) = http
        .post(url)
        .bearer_auth(token.expose_secret())
        .json(body)
        .send()
        .await
    else {
        return Ok(unreachable());
    };
    let status = answer.status();
    if !status.is_success() {
        // Who is asked too often, or too slow, may be asked again.
        let retryable = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
        let error = if status.is_client_error() {
            DeliveryError::AdapterHttp4xx
        } else {
            DeliveryError::AdapterHttp5xx
        };
        return Ok(Outcome::Failed(error, retryable));
    }
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= ANSWER_LIMIT_BYTES => {
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => break bytes.clear(),
            Ok(None) => break,
            Err(_) => return Ok(unreachable()),
        }
    }
    Ok(match serde_json::from_slice::<Acknowledgement>(&bytes) {
        Ok(taken) if taken.accepted => Outcome::Taken(taken),
        Ok(refused) => Outcome::Failed(DeliveryError::AdapterRejected, refused.retryable),
        Err(_) => Outcome::Failed(DeliveryError::InvalidAdapterResponse, true),
    })
}

async fn record(
    app: &App,
    attempt: &DueAttempt,
    role: DeliveryRole,
    destination: Option<&Destination>,
    outcome: &Outcome,
) -> Result<(), DispatchError> {
    let mut transaction = app.pool.begin().await?;
    let Some(row) = notifications::lock(&mut transaction, attempt.interaction_id).await? else {
        return Ok(());
    };
    let (status, error) = match outcome {
        Outcome::Taken(_) => ("accepted", None),
        Outcome::Failed(error, _) => ("failed", Some(*error)),
    };
    if !notifications::end_attempt(&mut transaction, attempt.id, status, error).await? {
        return Ok(());
    }
    let told = Dispatched {
        attempt_no: attempt.attempt_no.into(),
        delivery_id: attempt.delivery_id.to_string(),
        role,
        adapter: destination.map_or_else(|| "none".to_owned(), |found| found.name.clone()),
    };
    let facts = row.facts()?;
    let record = dispatch_attempted(&facts, &told, error);
    events::insert(&mut transaction, &record).await?;
    match outcome {
        Outcome::Taken(taken) => {
            if let (DeliveryRole::Primary, Some(destination)) = (role, destination) {
                notifications::acknowledge(
                    &mut transaction,
                    row.id,
                    destination.id,
                    row.state()?.acknowledged(facts.kind),
                    taken.provider_message_ref.as_deref(),
                    taken.edit_capability,
                )
                .await?;
            }
        }
        Outcome::Failed(error, retryable) => {
            let attempts = notifications::attempts_of(&mut *transaction, row.id, role).await?;
            let now = clock::now(&mut *transaction).await?;
            match after_failure(role, attempts, *retryable, now, row.response_deadline_at) {
                AfterFailure::RetryAt(at) => {
                    let record = retry_scheduled(&facts, &told, *error, at);
                    events::insert(&mut transaction, &record).await?;
                    notifications::plan_attempt(&mut transaction, row.id, role, Some(at)).await?;
                }
                AfterFailure::Exhausted => give_up(app, &mut transaction, &row).await?,
                AfterFailure::FollowUp => {
                    let next = Continuation::SendFollowUp;
                    notifications::set_continuation(&mut transaction, row.id, next).await?;
                    let role = DeliveryRole::FollowUp;
                    notifications::plan_attempt(&mut transaction, row.id, role, None).await?;
                }
                AfterFailure::ManualFallback => {
                    let next = Continuation::ManualFallback;
                    notifications::set_continuation(&mut transaction, row.id, next).await?;
                }
            }
        }
    }
    transition::commit(transaction, "notification.attempt").await?;
    app.wakeups.notify(Channel::RunQueue);
    Ok(())
}

/// Nobody could be told: a question goes back to its agent, and a request stays open in the console (G-134).
async fn give_up(
    app: &App,
    connection: &mut sqlx::PgConnection,
    row: &InteractionRow,
) -> Result<(), sqlx::Error> {
    if row.kind()? == InteractionKind::DecisionRequest {
        let end = InteractionEnd::DeliveryExhausted;
        return end_unanswered(app, connection, row, end).await.map(drop);
    }
    notifications::end(connection, row.id, InteractionState::DeliveryExhausted)
        .await
        .map(drop)
}
