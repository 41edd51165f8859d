//! One secret with its two places.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::approvals::ApplyFailure;
use crate::audit::{AuditEvent, SecretSyncPayload};
use crate::stages::spelled;

spelled!(
    /// Where the value comes from.
    SecretPolicy {
        /// Derived from the target: one target, one value (G-43).
        Deterministic = "deterministic",
        /// Made once for the request (G-44).
        Random = "random",
        /// Typed by whoever approves (G-45).
        Provided = "provided",
    }
);

spelled!(
    /// Whose secret it is on GitHub.
    GithubScope {
        /// An environment's.
        Environment = "environment",
        /// The repository's; each environment overwrites it.
        Repository = "repository",
    }
);

spelled!(
    /// The two writes, in their order (G-46).
    SyncStep {
        /// The secret on GitHub.
        Github = "github",
        /// The key of the Secret in the cluster.
        Kubernetes = "kubernetes",
    }
);

/// What is asked for, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSync {
    /// One of `governance.allowed_envs`.
    pub environment: String,
    /// The run's repository.
    pub repository_full_name: String,
    /// Whose secret.
    pub github_scope: GithubScope,
    /// Its name on GitHub.
    pub github_secret_name: String,
    /// Where in the cluster.
    pub namespace: String,
    /// Name of the Secret.
    pub secret_name: String,
    /// Its key; others of the Secret stay as they are.
    pub secret_key: String,
    /// Where the value comes from.
    pub policy: SecretPolicy,
}

impl SecretSync {
    /// `github_ref` of output and events.
    pub fn github_ref(&self) -> String {
        let (repository, name) = (&self.repository_full_name, &self.github_secret_name);
        match self.github_scope {
            GithubScope::Environment => format!("{repository}@{}#{name}", self.environment),
            GithubScope::Repository => format!("{repository}#{name}"),
        }
    }

    /// `kubernetes_ref` of output and events.
    pub fn kubernetes_ref(&self) -> String {
        format!(
            "{}/{}#{}",
            self.namespace, self.secret_name, self.secret_key
        )
    }

    /// What the approver sees, and what makes two calls the same (G-30).
    pub fn target_ref(&self) -> Value {
        json!({
            "environment": self.environment,
            "github_ref": self.github_ref(),
            "kubernetes_ref": self.kubernetes_ref(),
            "policy": self.policy,
        })
    }

    /// What a deterministic value is derived from, in the order of G-43. The namespace is left out: one environment, one
    /// value.
    pub fn derivation<'a>(&'a self, project_id: &'a str) -> [&'a str; 7] {
        [
            "v1",
            project_id,
            &self.repository_full_name,
            &self.environment,
            &self.github_secret_name,
            &self.secret_name,
            &self.secret_key,
        ]
    }

    fn payload(&self, request_id: i64) -> SecretSyncPayload {
        SecretSyncPayload {
            request_id: Some(request_id),
            environment: Some(self.environment.clone()),
            github_ref: Some(self.github_ref()),
            kubernetes_ref: Some(self.kubernetes_ref()),
            policy: Some(self.policy.to_string()),
            ..SecretSyncPayload::default()
        }
    }

    /// A step is done (G-46).
    pub fn step_completed(&self, request_id: i64, step: SyncStep, attempt: i64) -> AuditEvent {
        AuditEvent::SecretSyncStepCompleted(SecretSyncPayload {
            step: Some(step.to_string()),
            attempt: Some(attempt),
            ..self.payload(request_id)
        })
    }

    /// An attempt at a step was in vain (G-47).
    pub fn step_failed(
        &self,
        request_id: i64,
        step: SyncStep,
        attempt: i64,
        retryable: bool,
        error_code: &str,
    ) -> AuditEvent {
        AuditEvent::SecretSyncStepFailed(SecretSyncPayload {
            step: Some(step.to_string()),
            attempt: Some(attempt),
            retryable: Some(retryable),
            error_code: Some(error_code.to_owned()),
            ..self.payload(request_id)
        })
    }

    /// The request has ended: `secret.sync.applied`, or `.failed` with the step that failed if one was begun (G-48).
    pub(crate) fn ended(
        &self,
        request_id: i64,
        failure: Option<ApplyFailure>,
        completed: &[String],
    ) -> AuditEvent {
        let failed_step = SyncStep::ALL
            .iter()
            .find(|step| !completed.iter().any(|done| done == step.as_str()));
        let payload = SecretSyncPayload {
            completed_steps: Some(completed.to_vec()),
            ..self.payload(request_id)
        };
        match failure {
            None => AuditEvent::SecretSyncApplied(payload),
            Some(failure) => {
                let was_begun = matches!(
                    failure,
                    ApplyFailure::PermanentError | ApplyFailure::AttemptsExhausted
                );
                AuditEvent::SecretSyncFailed(SecretSyncPayload {
                    failed_step: failed_step.filter(|_| was_begun).map(ToString::to_string),
                    ..payload
                })
            }
        }
    }
}
