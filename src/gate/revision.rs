//! The code that a result speaks of: one of other code says nothing about this one.

use std::fmt;

use anyhow::Context;
use serde::Deserialize;

/// A commit, and whether there were changes that no commit has.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Revision {
    #[serde(rename = "revision")]
    pub commit: String,
    #[serde(default)]
    pub dirty: bool,
}

impl Revision {
    /// What is checked out now.
    ///
    /// # Errors
    /// When there is no checkout.
    pub async fn checked_out() -> anyhow::Result<Self> {
        let workspace =
            bootstrap::orchestrator::workspace().context("failed to find the checkout")?;
        let (commit, dirty) = bootstrap::orchestrator::revision(&workspace).await;
        Ok(Self {
            commit: commit.unwrap_or_default(),
            dirty: dirty.unwrap_or_default(),
        })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = if self.dirty { " with changes" } else { "" };
        write!(formatter, "{}{changes}", self.commit)
    }
}
