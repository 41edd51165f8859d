//! Credentials for git, for the time of one process only.
//!
//! The helper file holds no secret: it prints the token that only the child process has in its
//! environment. It lies in a private folder that is removed when the runner ends.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::error::AgentError;

const ASKPASS: &str = "#!/bin/sh\ncase \"$1\" in\n  Username*) printf '%s\\n' x-access-token ;;\n  *) printf '%s\\n' \"$GH_TOKEN\" ;;\nesac\n";
const OWNER_ONLY_EXECUTABLE: u32 = 0o700;

/// A private folder with the askpass helper; dropping it removes both.
#[derive(Debug)]
pub(super) struct Credentials {
    folder: tempfile::TempDir,
    token: SecretString,
}

impl Credentials {
    pub(super) fn create(token: SecretString) -> Result<Self, AgentError> {
        let folder = tempfile::Builder::new()
            .prefix("codex-agent-")
            .tempdir()
            .map_err(|source| AgentError::Io {
                action: "create a private folder in",
                path: std::env::temp_dir(),
                source,
            })?;
        let helper = folder.path().join("askpass");
        std::fs::write(&helper, ASKPASS)
            .and_then(|()| {
                std::fs::set_permissions(&helper, Permissions::from_mode(OWNER_ONLY_EXECUTABLE))
            })
            .map_err(|source| AgentError::Io {
                action: "write",
                path: helper,
                source,
            })?;
        Ok(Self { folder, token })
    }

    /// A folder for files that must not outlive the runner, such as the kubeconfig.
    pub(super) fn private_folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// What a child process needs to act as the bot.
    pub(super) fn environment(&self) -> [(&'static str, String); 4] {
        let token = self.token.expose_secret().to_owned();
        [
            (
                "GIT_ASKPASS",
                self.folder
                    .path()
                    .join("askpass")
                    .to_string_lossy()
                    .into_owned(),
            ),
            ("GIT_TERMINAL_PROMPT", "0".to_owned()),
            ("GH_TOKEN", token.clone()),
            ("GITHUB_TOKEN", token),
        ]
    }
}
