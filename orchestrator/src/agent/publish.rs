//! Commit and push. Nothing is ever forced, and the base branch is left alone.

use super::checkout::Tree;
use super::config::AgentConfig;
use super::error::{AgentError, MissingReason, Precondition};

/// Commits what the agent left uncommitted, as the bot.
pub(super) async fn commit(
    tree: &Tree<'_>,
    config: &AgentConfig,
    subject: &str,
) -> Result<(), AgentError> {
    let git = &tree.git;
    match git.current_branch().await? {
        Some(branch) if branch == tree.branch => {}
        other => {
            let found = other.unwrap_or_else(|| "a detached commit".to_owned());
            return Err(AgentError::WrongBranch {
                found,
                wanted: tree.branch.clone(),
            });
        }
    }
    git.run("stage the changes", &["add", "--all"]).await?;
    if git
        .succeeds("look for staged changes", &["diff", "--cached", "--quiet"])
        .await?
    {
        return Ok(());
    }
    let name = format!("user.name={}", config.bot_username);
    let mail = format!("user.email={}", config.bot_mail);
    let trailer = format!("Run: {}", config.run_id);
    let arguments = [
        "-c",
        &name,
        "-c",
        &mail,
        "-c",
        "commit.gpgSign=false",
        "commit",
        "--quiet",
        "-m",
        subject,
        "-m",
        &trailer,
    ];
    git.run("commit the changes", &arguments).await.map(drop)
}

/// Pushes the branch; a branch that vanished during the run is a failed precondition.
pub(super) async fn push(tree: &Tree<'_>, config: &AgentConfig) -> Result<String, AgentError> {
    if tree.branch == config.base_branch && !config.is_repair() {
        return Err(AgentError::BaseBranch(tree.branch.clone()));
    }
    let git = &tree.git;
    let head = git.head().await?;
    let remote = git.remote_branch(&tree.branch).await?;
    if tree.existed && remote.is_none() {
        return Err(AgentError::Precondition(
            Precondition::PullRequestNotFound {
                branch: tree.branch.clone(),
                reason: MissingReason::Branch,
            },
        ));
    }
    if remote.as_deref() != Some(head.as_str()) {
        let refspec = format!("HEAD:refs/heads/{}", tree.branch);
        git.run("push the branch", &["push", "--quiet", "origin", &refspec])
            .await?;
    }
    Ok(head)
}
