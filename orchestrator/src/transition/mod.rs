//! Persisted transitions by name: commits, and writes to Kubernetes and GitHub.
//!
//! Whoever wants to know whether the platform survives a death at each of them (E-44) builds with the feature
//! `failpoints`, and a process can then be killed just before or just after any of them. Without the feature the names
//! are not even formatted.
#[cfg(feature = "failpoints")]
mod failpoints;
mod layer;

use std::fmt::Display;
use std::future::Future;

use sqlx::{Postgres, Transaction};

pub use layer::TransitionLayer;

/// Where in a transition a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is persisted yet.
    Before,
    /// It is persisted, and nobody was told.
    After,
}

/// Commits under the name of the transition.
///
/// # Errors
/// As [`Transaction::commit`].
pub async fn commit(transaction: Transaction<'_, Postgres>, name: &str) -> sqlx::Result<()> {
    around(name, transaction.commit()).await
}

/// The same for a transaction that may have found nothing to do, which is no transition then.
///
/// # Errors
/// As [`Transaction::commit`].
pub async fn commit_if(
    persists: bool,
    transaction: Transaction<'_, Postgres>,
    name: &str,
) -> sqlx::Result<()> {
    if persists {
        commit(transaction, name).await
    } else {
        transaction.commit().await
    }
}

/// Tells of a claim that one statement has made: before it nothing was there to lose.
pub fn claimed(name: &str) {
    reach(&name, Phase::After);
}

/// Does what persists a transition; a write that fails has persisted nothing.
///
/// # Errors
/// Those of `write`.
pub async fn around<T, E>(
    name: impl Display,
    write: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    reach(&name, Phase::Before);
    let written = write.await?;
    reach(&name, Phase::After);
    Ok(written)
}

#[cfg(feature = "failpoints")]
fn reach(name: &dyn Display, phase: Phase) {
    failpoints::reach(&name.to_string(), phase);
}

#[cfg(not(feature = "failpoints"))]
fn reach(_name: &dyn Display, _phase: Phase) {}
