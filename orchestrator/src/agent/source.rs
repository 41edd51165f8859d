//! The init step `agent source`: the source tree at the run's commit, detached and clean.
//!
//! The folder survives between runs of one namespace, so an existing tree is fetched into, not cloned again.

use std::path::Path;

use super::config::GitSettings;
use super::credentials::Credentials;
use super::error::AgentError;
use super::git::Git;
use super::output::Output;

/// Made by the file system of a volume, not by a run.
const VOLUME_FOLDER: &str = "lost+found";

/// Brings the branches of the remote up to date.
pub(super) const FETCH_BRANCHES: [&str; 7] = [
    "fetch",
    "--quiet",
    "--prune",
    "--no-tags",
    "--force",
    "origin",
    "+refs/heads/*:refs/remotes/origin/*",
];

/// Prepares the tree in the workspace folder.
pub(super) async fn prepare(settings: &GitSettings, output: Output) -> Result<(), AgentError> {
    let build_ref = settings
        .build_ref
        .as_deref()
        .ok_or_else(|| AgentError::Setting {
            name: "CODEXK8S_RUNTIME_BUILD_REF",
            reason: "it is required to prepare the source tree".to_owned(),
        })?;
    let workspace = &settings.workspace;
    std::fs::create_dir_all(workspace).map_err(|source| AgentError::Io {
        action: "create",
        path: workspace.clone(),
        source,
    })?;
    let credentials = Credentials::create(settings.bot_token.clone())?;
    let git = Git::new(workspace.clone(), &credentials, output);
    open_repository(&git, &settings.remote_url()).await?;

    let is_commit = build_ref.len() == 40 && build_ref.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut fetch = FETCH_BRANCHES.to_vec();
    if is_commit {
        fetch.push(build_ref);
    }
    git.run("fetch the source", &fetch).await?;
    let commit = if is_commit {
        build_ref.to_owned()
    } else {
        format!("refs/remotes/origin/{build_ref}")
    };
    git.run(
        "check out the source",
        &["checkout", "--quiet", "--force", "--detach", &commit],
    )
    .await?;
    clean(&git).await?;
    tracing::info!(commit, "the source tree is ready");
    Ok(())
}

/// Drops every file that is not in the commit; changed ones the forced checkout before it has restored.
pub(super) async fn clean(git: &Git<'_>) -> Result<(), AgentError> {
    git.run(
        "clean the tree",
        &["clean", "--quiet", "-ffdx", "--exclude", VOLUME_FOLDER],
    )
    .await
    .map(drop)
}

/// Opens the repository of the folder with the right remote; an unusable one is begun anew.
pub(super) async fn open_repository(git: &Git<'_>, remote_url: &str) -> Result<(), AgentError> {
    let metadata = git.folder().join(".git");
    if metadata.exists() {
        // The namespace runs one run at a time, so a lock is left over from a killed one.
        for lock in ["index.lock", "HEAD.lock", "shallow.lock", "config.lock"] {
            drop(std::fs::remove_file(metadata.join(lock)));
        }
        if !git
            .succeeds("open the repository", &["rev-parse", "--git-dir"])
            .await?
        {
            empty(git.folder())?;
        }
    }
    let known = metadata.exists();
    if !known {
        git.run("create the repository", &["init", "--quiet"])
            .await?;
    }
    // The run before may have ended between making the repository and naming its remote.
    let known = known
        && git
            .succeeds(
                "set the remote",
                &["remote", "set-url", "origin", remote_url],
            )
            .await?;
    if !known {
        git.run("name the remote", &["remote", "add", "origin", remote_url])
            .await?;
    }
    Ok(())
}

fn empty(folder: &Path) -> Result<(), AgentError> {
    let failed = |source| AgentError::Io {
        action: "empty",
        path: folder.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() == VOLUME_FOLDER {
            continue;
        }
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        let removed = if is_folder {
            std::fs::remove_dir_all(entry.path())
        } else {
            std::fs::remove_file(entry.path())
        };
        removed.map_err(failed)?;
    }
    Ok(())
}
