//! Finds out what GitHub could not hand over, and has it sent again: each bound repository when a process starts
//! and every five minutes of platform time. What comes of it enters by the same door as any delivery.
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::recovery::{self, Asked, Attempt, Known};
use futures::StreamExt;

use super::label_drift::{self, DriftError};
use super::parts::pause_until;
use crate::app::{App, SharedApp};
use crate::github::{self, AccessError, FaultClass, GithubError, RepositoryApi};
use crate::store::deliveries;
use crate::store::hook_reads::{self, DueRepository, PassEnd};
use crate::transition;
use crate::wakeups::{Channel, Woken};

/// Repositories compared at once: this is nobody's hurry, and GitHub dislikes bursts.
const REPOSITORIES_AT_ONCE: usize = 4;
/// A repository that takes longer is left for its next pass, so that it cannot keep the others waiting.
const PASS_TIME_LIMIT: Duration = Duration::from_secs(120);

/// Why a repository could not be compared with GitHub.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Github(#[from] GithubError),
    #[error(transparent)]
    Drift(#[from] DriftError),
    #[error("failed to read or write what is known of deliveries")]
    Store(#[from] sqlx::Error),
    #[error(
        "failed to compare a repository within {} s",
        PASS_TIME_LIMIT.as_secs()
    )]
    TimedOut,
}

/// Passes until the process ends.
pub async fn run(app: SharedApp) {
    let mut waiter = app.wakeups.waiter(&[Channel::Clock], &app.shutdown);
    let mut has_begun = false;
    loop {
        let passed = tokio::select! {
            passed = pass(&app, &mut has_begun) => passed,
            () = app.shutdown.cancelled() => return,
        };
        if let Err(error) = passed {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to look for repositories to compare with GitHub"
            );
        }
        let due = hook_reads::seconds_until_due(&app.pool)
            .await
            .ok()
            .flatten();
        let pause = pause_until(due, app.config.poll_interval);
        if waiter.wait(pause).await == Woken::Shutdown {
            return;
        }
    }
}

/// Everything that is due; what a process missed while it was away is due when it starts.
async fn pass(app: &App, has_begun: &mut bool) -> Result<(), sqlx::Error> {
    if !*has_begun {
        hook_reads::make_all_due(&app.pool).await?;
        *has_begun = true;
    }
    loop {
        let due = hook_reads::claim(&app.pool, REPOSITORIES_AT_ONCE).await?;
        if due.is_empty() {
            return Ok(());
        }
        futures::stream::iter(due)
            .for_each_concurrent(REPOSITORIES_AT_ONCE, |repository| async move {
                compare_or_tell(app, &repository).await;
            })
            .await;
    }
}

#[tracing::instrument(skip_all, fields(repository = repository.full_name))]
async fn compare_or_tell(app: &App, repository: &DueRepository) {
    if !app.acts_on(&repository.full_name) {
        return;
    }
    let compared = tokio::time::timeout(PASS_TIME_LIMIT, compare(app, repository))
        .await
        .unwrap_or(Err(PassError::TimedOut));
    if let Err(error) = compared {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "failed to compare a repository with GitHub; its next pass tries again"
        );
    }
}

async fn compare(app: &App, repository: &DueRepository) -> Result<(), PassError> {
    let github = github::access_to(app, &repository.full_name).await?.reader;
    let config = &app.config.github;
    let Some(hook) = github.hook_at(&config.webhook_url).await? else {
        tracing::warn!("GitHub has no webhook of the platform for this repository");
        return Ok(());
    };
    let listed = read(&github, hook, repository.read_until).await?;
    let known = known(app, repository, &listed.attempts).await?;
    let lost = recovery::lost(&listed.attempts, &config.webhook_events, &known, listed.now);
    let taken = hook_reads::take_requests(&app.pool, repository.repository_id, &lost.ask).await?;
    for asked in lost
        .ask
        .iter()
        .filter(|asked| taken.contains(&asked.delivery_id))
    {
        redeliver(&github, hook, asked).await?;
    }
    let mut end = PassEnd {
        read_until: lost.read_until,
        compared_until: None,
        look_again_soon: lost.look_again_soon,
    };
    let mut transaction = if lost.labels_missing {
        app.pool.begin().await?
    } else {
        let seen = label_drift::compare(app, &github, repository, listed.now).await?;
        end.compared_until = Some(seen.compared_until);
        end.look_again_soon |= seen.look_again_soon;
        let mut transaction = app.pool.begin().await?;
        label_drift::report(&mut transaction, repository, &seen).await?;
        transaction
    };
    hook_reads::finish(&mut transaction, repository, &end).await?;
    transition::commit(transaction, "lost_deliveries.pass").await?;
    Ok(())
}

/// One delivery that GitHub refuses to repeat does not keep the others from their turn.
async fn redeliver(github: &RepositoryApi, hook: i64, asked: &Asked) -> Result<(), GithubError> {
    let delivery_id = asked.delivery_id.as_str();
    match github.redeliver(hook, asked.attempt_id).await {
        Ok(()) => {
            tracing::info!(
                delivery.id = delivery_id,
                "GitHub is asked to send a lost delivery again"
            );
            Ok(())
        }
        Err(error) if error.class() == FaultClass::Transient => Err(error),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                delivery.id = delivery_id,
                "GitHub refuses to send a lost delivery again"
            );
            Ok(())
        }
    }
}

struct Listed {
    attempts: Vec<Attempt>,
    /// GitHub's clock when the list was read.
    now: DateTime<Utc>,
}

/// Reads the list, newest first, until a page has nothing that the last complete pass has not seen.
async fn read(
    github: &RepositoryApi,
    hook: i64,
    read_until: Option<DateTime<Utc>>,
) -> Result<Listed, GithubError> {
    let first = github.attempts(hook, None).await?;
    let newest = first
        .entries
        .iter()
        .filter_map(|attempt| attempt.made_at)
        .max();
    // Every answer of GitHub has a date; without one the newest attempt is the best that is known of its clock.
    let now = first.answered_at.or(newest).unwrap_or(DateTime::UNIX_EPOCH);
    let oldest = recovery::read_from(read_until, now);
    let is_older = |attempt: &Attempt| attempt.made_at.is_some_and(|made_at| made_at < oldest);
    let mut page = first;
    let mut attempts = Vec::new();
    loop {
        let is_last = page.entries.iter().all(is_older);
        attempts.append(&mut page.entries);
        match page.next {
            Some(cursor) if !is_last => page = github.attempts(hook, Some(&cursor)).await?,
            _ => break,
        }
    }
    Ok(Listed { attempts, now })
}

async fn known(
    app: &App,
    repository: &DueRepository,
    attempts: &[Attempt],
) -> Result<Known, sqlx::Error> {
    let ids: Vec<&str> = attempts
        .iter()
        .map(|attempt| attempt.delivery_id.as_str())
        .collect();
    Ok(Known {
        stored: deliveries::stored_among(&app.pool, &ids).await?,
        asked_lately: hook_reads::asked_lately(&app.pool, repository.repository_id).await?,
    })
}
