//! What the agent changed against the starting commit, and whether it was allowed to (L-9).

use domain::stages::WriteScope;
use domain::write_scope;

use super::error::{AgentError, Precondition};
use super::git::Git;

/// All differences from the starting commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changes {
    /// Committed, staged, unstaged and untracked paths, sorted.
    pub(super) paths: Vec<String>,
    /// Whether the agent made commits itself.
    pub(super) new_commits: bool,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.new_commits
    }

    pub(super) async fn since(git: &Git<'_>, start: &str) -> Result<Self, AgentError> {
        if !git.folder().join(".git").exists() {
            return Err(AgentError::NoRepository);
        }
        let action = "list the changed paths";
        let tree = git
            .run(
                action,
                &["diff", "--name-only", "--no-renames", "-z", start],
            )
            .await?;
        let staged = git
            .run(
                action,
                &[
                    "diff",
                    "--cached",
                    "--name-only",
                    "--no-renames",
                    "-z",
                    start,
                ],
            )
            .await?;
        let untracked = git
            .run(
                action,
                &["ls-files", "--others", "--exclude-standard", "-z"],
            )
            .await?;
        let mut paths: Vec<String> = [tree, staged, untracked]
            .iter()
            .flat_map(|list| list.split('\0'))
            .filter(|path| !path.is_empty())
            .map(str::to_owned)
            .collect();
        paths.sort();
        paths.dedup();
        let range = format!("{start}..HEAD");
        let count = git
            .run("count the new commits", &["rev-list", "--count", &range])
            .await?;
        Ok(Self {
            paths,
            new_commits: count.trim() != "0",
        })
    }
}

/// Refuses changes outside the run's write scope.
pub(super) fn check(
    scope: WriteScope,
    changes: &Changes,
    self_improve_paths: &[String],
) -> Result<(), AgentError> {
    write_scope::check(
        scope,
        &changes.paths,
        changes.new_commits,
        self_improve_paths,
    )
    .map_err(|violation| {
        AgentError::Precondition(Precondition::WriteScope {
            text: violation.to_string(),
            paths: violation.paths,
        })
    })
}
