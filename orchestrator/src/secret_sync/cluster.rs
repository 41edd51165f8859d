//! One key of one Secret, by server-side apply: whatever else the Secret holds stays as it is (G-46).
use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::cluster::is_of_platform;

/// Beginning of the field manager's name.
const FIELD_MANAGER: &str = "codex-k8s-secret-sync";
/// Bytes of a key's digest in the name of its field manager.
const DIGEST_BYTES: usize = 8;

/// Why a key was not written. It never carries what the API server said: that could echo the value.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("failed to write a Secret: {0} belongs to the platform")]
    Protected(String),
    #[error("failed to write a Secret: {code}")]
    Refused { code: String, is_permanent: bool },
}

impl From<kube::Error> for ClusterError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused {
                code: format!("kubernetes_{}", status.code),
                is_permanent: is_permanent(status.code),
            },
            _ => Self::Refused {
                code: "kubernetes_unreachable".to_owned(),
                is_permanent: false,
            },
        }
    }
}

/// 408, 409 and 429 ask for another attempt, as faults of the server do.
fn is_permanent(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 409 | 429)
}

/// Sets one key; an equal value is not written again.
pub async fn write_key(
    client: kube::Client,
    namespace: &str,
    name: &str,
    key: &str,
    value: &SecretString,
) -> Result<(), ClusterError> {
    let secrets: Api<Secret> = Api::namespaced(client, namespace);
    let wanted = ByteString(value.expose_secret().as_bytes().to_vec());
    if let Some(found) = secrets.get_opt(name).await? {
        // A label of the platform says so even where the name does not.
        if is_of_platform(found.labels()) {
            return Err(ClusterError::Protected(name.to_owned()));
        }
        if found.data.as_ref().and_then(|data| data.get(key)) == Some(&wanted) {
            return Ok(());
        }
    }
    let apply = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(key.to_owned(), wanted)])),
        ..Secret::default()
    };
    let parameters = PatchParams::apply(&manager_of(key)).force();
    secrets
        .patch(name, &parameters, &Patch::Apply(&apply))
        .await?;
    Ok(())
}

/// One manager for each key: a manager that applies a Secret anew takes back every other key it had set.
fn manager_of(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    format!("{FIELD_MANAGER}-{}", hex::encode(&digest[..DIGEST_BYTES]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_share_a_manager_and_long_ones_fit() {
        let long = manager_of(&"k".repeat(253));
        assert_ne!(manager_of("a"), manager_of("b"));
        assert!(long.len() <= 128, "{long}");
    }

    #[test]
    fn only_refusals_that_stay_are_permanent() {
        for (status, expected) in [
            (400, true),
            (403, true),
            (404, true),
            (409, false),
            (422, true),
            (429, false),
            (500, false),
            (503, false),
        ] {
            assert_eq!(is_permanent(status), expected, "{status}");
        }
    }
}
