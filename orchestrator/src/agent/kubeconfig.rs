//! A kubeconfig for the agent's kubectl, from the Pod's service account.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::error::AgentError;

const OWNER_ONLY: u32 = 0o600;

/// Writes the kubeconfig and answers its path; none where no service account is mounted.
pub(super) fn write(
    service_account: &Path,
    folder: &Path,
    host: Option<String>,
    port: Option<String>,
) -> Result<Option<PathBuf>, AgentError> {
    let (Some(host), Ok(namespace)) = (
        host,
        std::fs::read_to_string(service_account.join("namespace")),
    ) else {
        return Ok(None);
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let port = port.unwrap_or_else(|| "443".to_owned());
    // The token stays a file reference: the kubelet refreshes it, and this file need not hold a secret.
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "run",
        "clusters": [{"name": "run", "cluster": {
            "server": format!("https://{host}:{port}"),
            "certificate-authority": service_account.join("ca.crt"),
        }}],
        "users": [{"name": "run", "user": {"tokenFile": service_account.join("token")}}],
        "contexts": [{"name": "run", "context": {
            "cluster": "run", "user": "run", "namespace": namespace.trim(),
        }}],
    });
    let path = folder.join("kubeconfig");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OWNER_ONLY)
        .open(&path)
        .and_then(|mut file| file.write_all(config.to_string().as_bytes()));
    match written {
        Ok(()) => Ok(Some(path)),
        Err(source) => Err(AgentError::Io {
            action: "write",
            path,
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn names_the_namespace_and_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("namespace"), "codex-issue-1\n").expect("written");
        let path = write(
            folder.path(),
            folder.path(),
            Some("10.0.0.1".to_owned()),
            None,
        )
        .expect("works");
        let path = path.expect("written");
        let text = std::fs::read_to_string(&path).expect("there");
        assert!(text.contains("\"namespace\":\"codex-issue-1\""));
        assert!(text.contains("https://10.0.0.1:443"));
        assert_eq!(
            std::fs::metadata(&path)
                .expect("there")
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
    }

    #[test]
    fn nothing_without_a_service_account() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write(
            folder.path(),
            folder.path(),
            Some("10.0.0.1".to_owned()),
            None,
        )
        .expect("works");
        assert_eq!(path, None);
    }
}
