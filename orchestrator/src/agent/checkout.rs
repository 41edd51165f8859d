//! The working tree of the runner on the run's branch.

use super::config::AgentConfig;
use super::credentials::Credentials;
use super::error::{AgentError, MissingReason, Precondition};
use super::git::Git;
use super::output::Output;
use super::source::{FETCH_BRANCHES, clean, open_repository};

/// Folder of the clone below the workspace of a `code-only` run.
const CLONE_FOLDER: &str = "repo";

/// A tree on the run's branch.
pub(super) struct Tree<'a> {
    pub(super) git: Git<'a>,
    pub(super) branch: String,
    /// The commit that changes are compared with.
    pub(super) start: String,
    /// Whether the branch was on the remote before the agent began.
    pub(super) existed: bool,
}

/// Puts the tree on the branch: the remote branch if there is one, else the base.
pub(super) async fn prepare<'a>(
    config: &AgentConfig,
    branch: &str,
    credentials: &'a Credentials,
    output: Output,
) -> Result<Tree<'a>, AgentError> {
    let folder = match config.is_full_env() {
        true => config.git.workspace.clone(),
        false => config.git.workspace.join(CLONE_FOLDER),
    };
    std::fs::create_dir_all(&folder).map_err(|source| AgentError::Io {
        action: "create",
        path: folder.clone(),
        source,
    })?;
    let git = Git::new(folder, credentials, output);
    // The prepared tree of a full-env run comes with the branches as they were a moment ago.
    if !config.is_full_env() {
        open_repository(&git, &config.git.remote_url()).await?;
        git.run("fetch the branches", &FETCH_BRANCHES).await?;
    }
    let remote = format!("refs/remotes/origin/{branch}");
    let existed = git
        .succeeds(
            "look for the branch",
            &["rev-parse", "--verify", "--quiet", &remote],
        )
        .await?;
    if config.is_revise() && !existed {
        return Err(AgentError::Precondition(
            Precondition::PullRequestNotFound {
                branch: branch.to_owned(),
                reason: MissingReason::Branch,
            },
        ));
    }
    // A discussion looks at what is there for everybody, not at work in progress (L-105).
    let from = if existed && !config.is_discussion() {
        remote
    } else if config.is_full_env() {
        "HEAD".to_owned()
    } else {
        format!("refs/remotes/origin/{}", config.base_branch)
    };
    if config.is_full_env() {
        attach(&git, branch, &from).await?;
    } else {
        git.run(
            "check out the branch",
            &["checkout", "--quiet", "--force", "-B", branch, &from],
        )
        .await?;
    }
    clean(&git).await?;
    let start = git.head().await?;
    Ok(Tree {
        git,
        branch: branch.to_owned(),
        start,
        existed,
    })
}

// A replacement Pod finds the branch attached already; any other branch is someone else's work.
async fn attach(git: &Git<'_>, branch: &str, from: &str) -> Result<(), AgentError> {
    match git.current_branch().await? {
        Some(found) if found != branch => Err(AgentError::WrongBranch {
            found,
            wanted: branch.to_owned(),
        }),
        _ => git
            .run(
                "attach the tree to the branch",
                &["checkout", "--quiet", "--force", "-B", branch, from],
            )
            .await
            .map(drop),
    }
}
