//! Whether a namespace is still what a revise needs.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::stages::spelled;

/// What the stack of a namespace was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Version of this list of fields.
    pub version: u8,
    /// Mode.
    pub runtime_mode: String,
    /// Environment.
    pub target_env: String,
    /// Namespace.
    pub namespace: String,
    /// Project.
    pub project_id: String,
    /// Issue, 0 when there is none.
    pub issue_number: i64,
    /// Agent.
    pub agent_key: String,
    /// `owner/name`.
    pub repository_full_name: String,
    /// Where services.yaml lies.
    pub services_yaml_path: String,
    /// 40 or 64 hexadecimal digits.
    pub build_ref: String,
    /// Deploy without agent.
    pub deploy_only: bool,
    /// Hash over the ordered hashes of the rendered manifests.
    pub manifest_hash: String,
}

/// Version of [`Fingerprint`].
pub const FINGERPRINT_VERSION: u8 = 1;

impl Fingerprint {
    /// Canonical JSON: the fields in their declared order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and flags always encode")
    }

    /// SHA-256 of the canonical JSON, in hexadecimal.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.to_json().as_bytes()))
    }
}

/// Hash over the hashes of manifests in their order of application.
pub fn manifest_hash<'a>(manifests: impl IntoIterator<Item = &'a str>) -> String {
    let mut whole = Sha256::new();
    for manifest in manifests {
        whole.update(Sha256::digest(manifest.as_bytes()));
    }
    hex::encode(whole.finalize())
}

/// Whether a text is a commit and not a movable name.
pub fn is_immutable_ref(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

spelled!(
    /// Why the fast path is not taken, in the order of the checks.
    ReuseRefusal {
        /// Not a full-env run.
        RuntimeModeNotFullEnv = "runtime_mode_not_full_env",
        /// A deploy without agent.
        DeployOnlyRun = "deploy_only_run",
        /// Not made by the platform.
        NamespaceNotManaged = "namespace_not_managed",
        /// Going away.
        NamespaceTerminating = "namespace_terminating",
        /// A deploy is under way.
        ActiveRuntimeDeployTask = "active_runtime_deploy_task",
        /// A branch name instead of a commit.
        BuildRefNotImmutable = "build_ref_not_immutable",
        /// No source snapshot.
        RepoSnapshotMissing = "repo_snapshot_missing",
        /// The snapshot is of another commit.
        RepoSnapshotStale = "repo_snapshot_stale",
        /// services.yaml cannot be read.
        ServicesConfigMissing = "services_config_missing",
        /// The configuration names another namespace.
        NamespaceMismatch = "namespace_mismatch",
        /// Never fingerprinted.
        FingerprintMissing = "fingerprint_missing",
        /// Annotations disagree with each other.
        FingerprintCorrupted = "fingerprint_corrupted",
        /// Made from something else.
        FingerprintMismatch = "fingerprint_mismatch",
        /// The evaluation itself failed.
        ReuseEvaluationFailed = "reuse_evaluation_failed",
    }
);

impl ReuseRefusal {
    /// Whether a new namespace is taken instead of a redeploy into the same one.
    pub fn needs_new_namespace(self) -> bool {
        matches!(
            self,
            ReuseRefusal::NamespaceNotManaged
                | ReuseRefusal::NamespaceTerminating
                | ReuseRefusal::NamespaceMismatch
        )
    }
}

/// What is known about the namespace that might be reused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReuseFacts<'a> {
    /// What the run wants.
    pub wanted: &'a Fingerprint,
    /// Bears the labels of R-56.
    pub managed: bool,
    /// Has a deletion time.
    pub terminating: bool,
    /// A deploy task of it is not over.
    pub active_deploy_task: bool,
    /// Commit of the source snapshot, none when there is no snapshot.
    pub snapshot_ref: Option<&'a str>,
    /// services.yaml was read, or is rightly absent.
    pub services_config: bool,
    /// Namespace that the configuration gives for this run.
    pub configured_namespace: &'a str,
    /// Annotation `runtime-fingerprint-hash`.
    pub stored_hash: Option<&'a str>,
    /// Annotation `runtime-fingerprint-json`.
    pub stored_json: Option<&'a str>,
}

/// Takes the fast path, or names the first reason against it.
pub fn may_reuse(facts: &ReuseFacts<'_>) -> Result<String, ReuseRefusal> {
    let wanted = facts.wanted;
    let refuse_if =
        |condition: bool, reason: ReuseRefusal| if condition { Err(reason) } else { Ok(()) };
    refuse_if(
        wanted.runtime_mode != "full-env",
        ReuseRefusal::RuntimeModeNotFullEnv,
    )?;
    refuse_if(wanted.deploy_only, ReuseRefusal::DeployOnlyRun)?;
    refuse_if(!facts.managed, ReuseRefusal::NamespaceNotManaged)?;
    refuse_if(facts.terminating, ReuseRefusal::NamespaceTerminating)?;
    refuse_if(
        facts.active_deploy_task,
        ReuseRefusal::ActiveRuntimeDeployTask,
    )?;
    refuse_if(
        !is_immutable_ref(&wanted.build_ref),
        ReuseRefusal::BuildRefNotImmutable,
    )?;
    let snapshot = facts
        .snapshot_ref
        .ok_or(ReuseRefusal::RepoSnapshotMissing)?;
    refuse_if(
        snapshot != wanted.build_ref,
        ReuseRefusal::RepoSnapshotStale,
    )?;
    refuse_if(!facts.services_config, ReuseRefusal::ServicesConfigMissing)?;
    refuse_if(
        facts.configured_namespace != wanted.namespace,
        ReuseRefusal::NamespaceMismatch,
    )?;
    let (Some(hash), Some(json)) = (facts.stored_hash, facts.stored_json) else {
        return Err(ReuseRefusal::FingerprintMissing);
    };
    let stored: Fingerprint =
        serde_json::from_str(json).map_err(|_| ReuseRefusal::FingerprintCorrupted)?;
    refuse_if(stored.hash() != hash, ReuseRefusal::FingerprintCorrupted)?;
    let wanted_hash = wanted.hash();
    refuse_if(wanted_hash != hash, ReuseRefusal::FingerprintMismatch)?;
    Ok(wanted_hash)
}
