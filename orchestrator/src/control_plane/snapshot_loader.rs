//! Loads what a decision may know: from the database, and live from GitHub only what it asks for (L-29, L-32).
use std::collections::BTreeMap;

use domain::effects::is_issue;
use domain::events::{Event, Thread, ThreadKind};
use domain::ids::RunId;
use domain::snapshot::{Binding, Fact, Read, SenderFacts, Snapshot, WebhookRuntime};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::github::{self, RepositoryAccess};
use crate::services_yaml::ServicesYamlError;
use crate::store::{label_grants, run_history, snapshots, thread_states};

/// A snapshot with what the commit needs to know of its making.
pub struct Loaded {
    pub snapshot: Snapshot,
    /// The platform's own label change that this delivery reports (L-19).
    pub own_label_change: Option<i64>,
}

/// What is always known.
pub async fn load(app: &App, event: &Event) -> Result<Loaded, sqlx::Error> {
    let binding = match &event.repository {
        Some(repository) => snapshots::binding(&app.pool, repository.id).await?,
        None => None,
    };
    let project_id = binding.as_ref().map(|binding| binding.project_id.as_uuid());
    let login = event.sender_login();
    let user = if login.is_empty() {
        None
    } else {
        snapshots::user(&app.pool, login, project_id).await?
    };
    // Names in the cluster carry the first twelve digits of the id, which must not be the time.
    let mut snapshot = Snapshot::new(binding, SenderFacts { user }, RunId(Uuid::new_v4()));
    let mut own_label_change = None;
    if let (Some(thread), Some(label), Some(project_id)) =
        (event.thread(), event.label(), project_id)
    {
        let label = app.policy.labels.canonical(label);
        snapshot.grant = label_grants::find(
            &app.pool,
            &thread.repository_full_name,
            thread.number,
            &label,
            project_id,
        )
        .await?;
        if app.policy.is_bot(login) {
            own_label_change = find_own_label_change(app, event, &thread).await?;
            snapshot.label_change_already_recorded = own_label_change.is_some();
        }
    }
    Ok(Loaded {
        snapshot,
        own_label_change,
    })
}

async fn find_own_label_change(
    app: &App,
    event: &Event,
    thread: &Thread,
) -> Result<Option<i64>, sqlx::Error> {
    let (Some(label), "labeled" | "unlabeled") = (event.label(), event.action.as_str()) else {
        return Ok(None);
    };
    let kind = if event.action == "labeled" {
        "add_label"
    } else {
        "remove_label"
    };
    snapshots::own_label_change(&app.pool, &json!(thread), kind, label).await
}

/// Loads the facts a decision asked for. A live one that cannot be read becomes `Unreadable`.
pub async fn load_facts(
    app: &App,
    full_name: &str,
    snapshot: &mut Snapshot,
    wanted: Vec<Read>,
) -> Result<(), sqlx::Error> {
    let (live, stored): (Vec<Read>, Vec<Read>) = wanted.into_iter().partition(Read::is_live);
    if !stored.is_empty() {
        let mut connection = app.pool.acquire().await?;
        let facts = stored_facts(
            &mut connection,
            full_name,
            snapshot.binding.as_ref(),
            &stored,
        )
        .await?;
        snapshot.facts.extend(facts);
    }
    if live.is_empty() {
        return Ok(());
    }
    match github::access_to(app, full_name).await {
        Ok(access) => {
            let binding = snapshot.binding.as_ref();
            let reads = live.into_iter().map(|read| {
                let access = &access;
                async move {
                    let fact = live_fact(app, access, binding, &read).await;
                    (read, fact)
                }
            });
            snapshot
                .facts
                .extend(futures::future::join_all(reads).await);
        }
        Err(error) => {
            let cause = describe(&error);
            snapshot.facts.extend(
                live.into_iter()
                    .map(|read| (read, Fact::Unreadable(cause.clone()))),
            );
        }
    }
    Ok(())
}

/// Facts of the database; also read again under the locks of the commit.
pub async fn stored_facts(
    connection: &mut PgConnection,
    full_name: &str,
    binding: Option<&Binding>,
    reads: &[Read],
) -> Result<BTreeMap<Read, Fact>, sqlx::Error> {
    let repository_id = binding
        .map(|binding| binding.repository_id.as_uuid())
        .unwrap_or_default();
    let mut facts = BTreeMap::new();
    for read in reads {
        let fact = match read {
            Read::IssueHistory(number) => Fact::History(
                run_history::of_thread(connection, full_name, ThreadKind::Issue, *number).await?,
            ),
            Read::PullRequestHistory(number) => Fact::History(
                run_history::of_thread(connection, full_name, ThreadKind::PullRequest, *number)
                    .await?,
            ),
            Read::IssueState(number) => Fact::State(
                thread_states::load(&mut *connection, repository_id, ThreadKind::Issue, *number)
                    .await?,
            ),
            Read::PullRequestState(number) => Fact::State(
                thread_states::load(
                    &mut *connection,
                    repository_id,
                    ThreadKind::PullRequest,
                    *number,
                )
                .await?,
            ),
            _ => continue,
        };
        facts.insert(read.clone(), fact);
    }
    Ok(facts)
}

async fn live_fact(
    app: &App,
    access: &RepositoryAccess,
    binding: Option<&Binding>,
    read: &Read,
) -> Fact {
    let reader = &access.reader;
    let fact = match read {
        Read::Issue(number) => optional(reader.issue(*number).await).map(Fact::Issue),
        Read::PullRequest(number) => {
            optional(reader.pull_request(*number).await).map(Fact::PullRequest)
        }
        Read::IssueLabels(number) | Read::PullRequestLabels(number) => {
            reader.labels(*number).await.map(Fact::Labels)
        }
        Read::PullRequestReviews(number) => reader.reviews(*number).await.map(Fact::Reviews),
        Read::IssueEvidenceSince(number, since) | Read::PullRequestEvidenceSince(number, since) => {
            let is_pull_request = matches!(read, Read::PullRequestEvidenceSince(..));
            evidence(access, *number, *since, is_pull_request)
                .await
                .map(Fact::Evidence)
        }
        Read::WebhookRuntime => webhook_runtime(app, access, binding)
            .await
            .map(Fact::WebhookRuntime),
        Read::IssueHistory(_)
        | Read::PullRequestHistory(_)
        | Read::IssueState(_)
        | Read::PullRequestState(_) => {
            return Fact::Unreadable("the database answers this, not GitHub".to_owned());
        }
    };
    fact.unwrap_or_else(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            ?read,
            instance = app.config.instance,
            "failed to read a live fact"
        );
        Fact::Unreadable(describe(&error))
    })
}

/// A file that is not understood says nothing here: the deployment of a run refuses it with the field.
async fn webhook_runtime(
    app: &App,
    access: &RepositoryAccess,
    binding: Option<&Binding>,
) -> Result<WebhookRuntime, github::GithubError> {
    let Some(binding) = binding else {
        return Ok(WebhookRuntime::default());
    };
    let read = access
        .reader
        .services_yaml(&binding.services_yaml_path, &binding.default_ref)
        .await;
    match read.and_then(|file| {
        file.map_or_else(
            || Ok(WebhookRuntime::default()),
            |file| file.webhook_runtime(),
        )
    }) {
        Ok(runtime) => Ok(runtime),
        Err(ServicesYamlError::Github(error)) => Err(error),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                repository_id = %binding.repository_id,
                instance = app.config.instance,
                "failed to read the modes of a services.yaml; the platform's own hold"
            );
            Ok(WebhookRuntime::default())
        }
    }
}

fn optional<T>(outcome: Result<T, github::GithubError>) -> Result<Option<T>, github::GithubError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Comments and reviews since a moment, the platform's own hidden-marker comments excluded (L-86).
async fn evidence(
    access: &RepositoryAccess,
    number: i64,
    since: chrono::DateTime<chrono::Utc>,
    is_pull_request: bool,
) -> Result<u32, github::GithubError> {
    let comments = access.reader.comments_since(number, since).await?;
    let mut count = comments
        .iter()
        .filter(|comment| {
            !comment.body.contains("<!-- codex-k8s:")
                && comment.created_at.is_none_or(|at| at >= since)
        })
        .count();
    if is_pull_request {
        count += access
            .reader
            .reviews(number)
            .await?
            .iter()
            .filter(|review| review.submitted_at.is_some_and(|at| at >= since))
            .count();
    }
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The threads whose state a decision read: locked in this order while it commits.
pub fn threads_read(full_name: &str, snapshot: &Snapshot) -> Vec<String> {
    let mut keys: Vec<String> = snapshot
        .facts
        .keys()
        .filter_map(|read| match read {
            Read::IssueHistory(number) | Read::IssueState(number) => {
                Some(Thread::issue(full_name, *number))
            }
            Read::PullRequestHistory(number) | Read::PullRequestState(number) => {
                Some(Thread::pull_request(full_name, *number))
            }
            _ => None,
        })
        .map(|thread| format!("{}:{thread}", if is_issue(&thread) { 0 } else { 1 }))
        .collect();
    keys.sort();
    keys.dedup();
    keys
}
