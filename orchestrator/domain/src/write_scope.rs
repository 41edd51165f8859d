//! The check of L-9: what a run may have changed, before anything is pushed.

use crate::stages::WriteScope;

/// Paths that the error names; the rest is counted (L-46 row 6).
pub const NAMED_PATHS_LIMIT: usize = 20;

/// A run changed what its scope does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeViolation {
    /// The scope.
    pub scope: WriteScope,
    /// Every forbidden path, sorted, without repetition; empty when only a commit was made.
    pub paths: Vec<String>,
}

/// Checks the paths that differ from the starting commit (committed, staged, unstaged, untracked).
///
/// `self_improve_paths` are the paths that `self_improve_only` adds; one ending in `/` is a directory.
pub fn check(
    scope: WriteScope,
    changed_paths: &[String],
    new_commits: bool,
    self_improve_paths: &[String],
) -> Result<(), ScopeViolation> {
    let allowed = |path: &str| match scope {
        WriteScope::Any => true,
        WriteScope::MarkdownOnly => is_markdown(path),
        WriteScope::SelfImproveOnly => {
            is_markdown(path) || self_improve_paths.iter().any(|rule| covers(rule, path))
        }
        WriteScope::NoRepoChanges | WriteScope::Discussion => false,
    };
    let mut paths: Vec<String> = changed_paths
        .iter()
        .filter(|path| !allowed(path))
        .cloned()
        .collect();
    paths.sort();
    paths.dedup();
    let forbids_commits = matches!(scope, WriteScope::NoRepoChanges | WriteScope::Discussion);
    if paths.is_empty() && !(forbids_commits && new_commits) {
        Ok(())
    } else {
        Err(ScopeViolation { scope, paths })
    }
}

fn is_markdown(path: &str) -> bool {
    path.to_lowercase().ends_with(".md")
}

fn covers(rule: &str, path: &str) -> bool {
    if rule.ends_with('/') {
        path.starts_with(rule) && !path.contains("/../")
    } else {
        path == rule
    }
}

/// The error text of L-46 row 6.
impl std::fmt::Display for ScopeViolation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.paths.is_empty() {
            return write!(
                formatter,
                "write scope {} violated: the run made a commit",
                self.scope
            );
        }
        let named: Vec<&str> = self
            .paths
            .iter()
            .take(NAMED_PATHS_LIMIT)
            .map(String::as_str)
            .collect();
        write!(
            formatter,
            "write scope {} violated: {}",
            self.scope,
            named.join(", ")
        )?;
        match self.paths.len().saturating_sub(NAMED_PATHS_LIMIT) {
            0 => Ok(()),
            rest => write!(formatter, ", ... and {rest} more"),
        }
    }
}

impl std::error::Error for ScopeViolation {}
