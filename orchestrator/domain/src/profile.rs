//! Model and reasoning effort of a run (L-13 to L-15, L-61, L-62).

use crate::labels::{Catalogue, CatalogueLabel, LabelGroup, ModelLabel};
use crate::policy::Policy;
use crate::runs::TriggerSource;
use crate::snapshot::{ProfileFacts, RunFacts};
use crate::stages::{TriggerKind, spelled};

spelled!(
    /// Where a model or reasoning effort comes from (L-14).
    ProfileSource {
        /// A label on the pull request.
        PullRequestLabel = "pull_request_label",
        /// A label on the Issue.
        IssueLabel = "issue_label",
        /// The newest run with an explicit choice (L-62).
        LastRunContext = "last_run_context",
        /// The default (L-13).
        AgentDefault = "agent_default",
        /// Replacement of the switched-off 5.3 family (L-15).
        AuthFileFallback = "auth_file_fallback",
    }
);

/// What the profile of a run is resolved from, read afresh at each claim (L-14).
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileRequest<'a> {
    /// What started the run.
    pub trigger_source: TriggerSource,
    /// Its kind.
    pub trigger_kind: TriggerKind,
    /// Live labels of the Issue, none when there is no Issue.
    pub issue_labels: Option<&'a [String]>,
    /// Live labels of the pull request, none when there is none.
    pub pull_request_labels: Option<&'a [String]>,
    /// Earlier runs of (repository, Issue, pull request), newest first.
    pub history: &'a [RunFacts],
}

/// Two labels of one group on one consulted thread (L-46 rows 1 and 2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("conflicting {group} labels on {scope}: {}", labels.join(", "))]
pub struct ProfileConflict {
    /// `ai-model` or `ai-reasoning`.
    pub group: &'static str,
    /// `issue` or `pull_request`.
    pub scope: &'static str,
    /// Canonical names, sorted.
    pub labels: Vec<String>,
}

/// Resolves model and reasoning independently of each other.
pub fn resolve(
    request: &ProfileRequest<'_>,
    policy: &Policy,
) -> Result<ProfileFacts, ProfileConflict> {
    let (model, model_source) = resolve_group(request, policy, LabelGroup::Model)?;
    let (reasoning_effort, reasoning_source) =
        resolve_group(request, policy, LabelGroup::Reasoning)?;
    let switched_off = !policy.gpt_5_3_enabled
        && ModelLabel::from_text(&model).is_some_and(ModelLabel::is_gpt_5_3);
    let (model, model_source) = if switched_off {
        (
            ModelLabel::Gpt52Codex.to_string(),
            ProfileSource::AuthFileFallback,
        )
    } else {
        (model, model_source)
    };
    Ok(ProfileFacts {
        model,
        model_source: model_source.to_string(),
        reasoning_effort,
        reasoning_source: reasoning_source.to_string(),
    })
}

fn resolve_group(
    request: &ProfileRequest<'_>,
    policy: &Policy,
    group: LabelGroup,
) -> Result<(String, ProfileSource), ProfileConflict> {
    let issue = (request.issue_labels, "issue", ProfileSource::IssueLabel);
    let pull_request = (
        request.pull_request_labels,
        "pull_request",
        ProfileSource::PullRequestLabel,
    );
    let by_review = request.trigger_source == TriggerSource::PullRequestReview;
    let order = if by_review {
        [issue, pull_request]
    } else {
        [pull_request, issue]
    };
    for (labels, scope, source) in order {
        let found = labels_of_group(&policy.labels, labels.unwrap_or_default(), group);
        match found.as_slice() {
            [] => {}
            [label] => return Ok((value_of(*label), source)),
            several => {
                let mut labels: Vec<String> = several
                    .iter()
                    .map(|label| policy.labels.name(*label).to_owned())
                    .collect();
                labels.sort();
                let group = if group == LabelGroup::Model {
                    "ai-model"
                } else {
                    "ai-reasoning"
                };
                return Err(ProfileConflict {
                    group,
                    scope,
                    labels,
                });
            }
        }
    }
    if by_review || request.trigger_kind.is_revise() {
        let last = request
            .history
            .iter()
            .filter_map(|run| run.profile.as_ref())
            .find_map(|profile| {
                let (value, source) = match group {
                    LabelGroup::Model => (&profile.model, &profile.model_source),
                    _ => (&profile.reasoning_effort, &profile.reasoning_source),
                };
                (source != ProfileSource::AgentDefault.as_str() && !value.is_empty())
                    .then(|| value.clone())
            });
        if let Some(value) = last {
            return Ok((value, ProfileSource::LastRunContext));
        }
    }
    let default = if group == LabelGroup::Model {
        &policy.default_model
    } else {
        &policy.default_reasoning_effort
    };
    Ok((default.clone(), ProfileSource::AgentDefault))
}

fn labels_of_group(
    catalogue: &Catalogue,
    labels: &[String],
    group: LabelGroup,
) -> Vec<CatalogueLabel> {
    let mut found: Vec<CatalogueLabel> = labels
        .iter()
        .filter_map(|text| catalogue.classify(text))
        .filter(|label| label.group() == group)
        .collect();
    found.sort();
    found.dedup();
    found
}

fn value_of(label: CatalogueLabel) -> String {
    match label {
        CatalogueLabel::Model(model) => model.to_string(),
        CatalogueLabel::Reasoning(level) => level.to_string(),
        other => other.default_name(),
    }
}
