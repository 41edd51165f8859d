//! The run that an accepted delivery makes (L-44).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::events::{Issue, PullRequest};
use crate::ids::{CorrelationId, NamespaceName, ProjectId, RepositoryId, RunId};
use crate::runs::TriggerSource;
use crate::snapshot::{AgentFacts, ProfileFacts};
use crate::stages::{AccessProfile, ModeSource, RuntimeMode, TargetEnv, TriggerKind, WriteScope};

/// What started the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTrigger {
    /// `agent_runs.trigger_source`.
    pub source: TriggerSource,
    /// `agent_runs.trigger_label`, the configured name; empty when deploy-only.
    pub label: String,
    /// `agent_runs.trigger_kind`.
    pub kind: TriggerKind,
}

/// Where and how it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRuntime {
    /// Mode.
    pub mode: RuntimeMode,
    /// Who decided the mode.
    pub source: ModeSource,
    /// Environment, none for code-only.
    pub target_env: Option<TargetEnv>,
    /// Namespace when it is known before the claim: candidate lineage, LIVE_NS. Otherwise the worker
    /// looks for one to reuse and else takes the name of R-32.
    pub namespace: Option<NamespaceName>,
    /// The namespace comes from a candidate lineage.
    pub lineage: bool,
    /// What is checked out: a commit, or a ref that preparation resolves to one.
    pub build_ref: Option<String>,
    /// No agent, only a deploy.
    pub deploy_only: bool,
    /// Name of the access profile.
    pub access_profile: AccessProfile,
    /// What services.yaml says of the TTL of the namespace, in seconds.
    pub namespace_ttl_seconds: Option<i64>,
}

/// Profile of earlier work, for L-62.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProfileHints {
    /// Configuration labels that the Issue bore when the run was created.
    #[serde(default)]
    pub last_run_issue_labels: Vec<String>,
    /// The same of the pull request.
    #[serde(default)]
    pub last_run_pull_request_labels: Vec<String>,
    /// Model of the newest run of the same threads whose source was not `agent_default`.
    #[serde(default)]
    pub last_run_model: Option<ProfileFacts>,
    /// Reasoning of the newest run of the same threads whose source was not `agent_default`.
    #[serde(default)]
    pub last_run_reasoning: Option<ProfileFacts>,
}

/// A run to be inserted as `pending`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// Id handed in with the snapshot.
    pub run_id: RunId,
    /// Delivery id, or the reviewer key of L-88; unique per run.
    pub correlation_id: CorrelationId,
    /// Project.
    pub project_id: ProjectId,
    /// Binding.
    pub repository_id: RepositoryId,
    /// `owner/name`.
    pub repository_full_name: String,
    /// What started it.
    pub trigger: RunTrigger,
    /// A discussion.
    pub discussion_mode: bool,
    /// Agent, none when deploy-only.
    pub agent: Option<AgentFacts>,
    /// Issue of the run, as far as known.
    pub issue: Option<Issue>,
    /// Number of the Issue, also when the Issue itself was not read.
    pub issue_number: Option<i64>,
    /// Pull request of the run, as far as known.
    pub pull_request: Option<PullRequest>,
    /// Number of the pull request.
    pub pr_number: Option<i64>,
    /// Where and how.
    pub runtime: RunRuntime,
    /// Branch the agent pushes to (L-50); none for runs that push nothing.
    pub target_branch: Option<String>,
    /// Branch a pull request goes into.
    pub base_branch: String,
    /// What it may change (L-9).
    pub write_scope: WriteScope,
    /// Earlier profile.
    pub profile_hints: ProfileHints,
    /// `agent_runs.run_payload` with the keys of L-44, plus `target_branch`, `base_branch`,
    /// `write_scope` and `runtime.lineage`.
    pub payload: Value,
}
