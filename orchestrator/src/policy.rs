//! The configuration as `domain` sees it.
use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::InvalidNamespaceName;
use domain::labels::{Catalogue, CatalogueError, CatalogueLabel};
use domain::policy::{Locale, Policy};
use domain::stages::{Role, TargetEnv};

use crate::config::Config;

/// Why the configuration makes no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("failed to rename labels")]
    Labels(#[from] CatalogueError),
    #[error("failed to use CODEXK8S_{key}: no label of the catalogue has that key")]
    UnknownLabelKey { key: String },
    #[error("failed to use CODEXK8S_WORKER_RUN_NAMESPACE_TTL_BY_ROLE: there is no role {name:?}")]
    UnknownRole { name: String },
    #[error("failed to name the platform namespace")]
    Namespace(#[from] InvalidNamespaceName),
}

/// Translates what a process was told into what decisions depend on.
pub fn from_config(config: &Config) -> Result<Policy, PolicyError> {
    let production = config.platform_env == "production";
    let namespace = if production {
        &config.worker.production_namespace
    } else {
        &config.worker.staging_namespace
    };
    Ok(Policy {
        labels: Catalogue::with_renames(&renames(&config.label_names)?)?,
        bot_login: config.github.bot_username.clone(),
        instance: config.instance.clone(),
        live_env: if production {
            TargetEnv::Production
        } else {
            TargetEnv::Staging
        },
        platform_namespace: namespace.parse()?,
        public_base_url: Some(config.public_base_url.clone()).filter(|url| !url.is_empty()),
        locale: Locale::from_configuration(&config.agent.default_locale),
        default_model: config.agent.default_model.clone(),
        default_reasoning_effort: config.agent.default_reasoning_effort.clone(),
        gpt_5_3_enabled: config.agent.gpt_5_3_enabled,
        namespace_ttl_by_role: ttl_by_role(&config.worker.run_namespace_ttl_by_role)?,
        default_namespace_ttl: Some(seconds(config.worker.run_namespace_ttl)),
        ..Policy::default()
    })
}

fn ttl_by_role(
    configured: &BTreeMap<String, Duration>,
) -> Result<BTreeMap<Role, i64>, PolicyError> {
    configured
        .iter()
        .map(|(name, ttl)| match Role::from_text(name) {
            Some(role) => Ok((role, seconds(*ttl))),
            None => Err(PolicyError::UnknownRole { name: name.clone() }),
        })
        .collect()
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Keys such as `RUN_DEV_REVISE_LABEL` to default names such as `run:dev:revise`.
fn renames(configured: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, PolicyError> {
    let known: BTreeMap<String, String> = CatalogueLabel::all()
        .into_iter()
        .map(|label| (key_of(&label.default_name()), label.default_name()))
        .collect();
    configured
        .iter()
        .map(|(key, name)| match known.get(key) {
            Some(default) => Ok((default.clone(), name.clone())),
            None => Err(PolicyError::UnknownLabelKey { key: key.clone() }),
        })
        .collect()
}

/// The key of runtime 6.2 that renames a label: letters and digits upper-case, everything else one underscore.
fn key_of(default_name: &str) -> String {
    let words: Vec<String> = default_name
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_uppercase)
        .collect();
    format!("{}_LABEL", words.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_documentation() {
        for (name, key) in [
            ("run:doc-audit", "RUN_DOC_AUDIT_LABEL"),
            ("run:dev:revise", "RUN_DEV_REVISE_LABEL"),
            ("mode:discussion", "MODE_DISCUSSION_LABEL"),
            (
                "[ai-model-gpt-5.1-codex-max]",
                "AI_MODEL_GPT_5_1_CODEX_MAX_LABEL",
            ),
            ("[ai-reasoning-extra-high]", "AI_REASONING_EXTRA_HIGH_LABEL"),
        ] {
            assert_eq!(key_of(name), key);
        }
    }

    #[test]
    fn a_ttl_of_nobody_is_refused() {
        let hour = Duration::from_secs(60 * 60);
        let configured = |name: &str| BTreeMap::from([(name.to_owned(), hour)]);
        assert_eq!(
            ttl_by_role(&configured("qa")).expect("a role"),
            BTreeMap::from([(Role::Qa, 3600)])
        );
        assert!(matches!(
            ttl_by_role(&configured("devv")),
            Err(PolicyError::UnknownRole { .. })
        ));
    }

    #[test]
    fn a_rename_of_nothing_is_refused() {
        let configured = BTreeMap::from([("RUN_DEVV_LABEL".to_owned(), "run:x".to_owned())]);
        assert!(matches!(
            renames(&configured),
            Err(PolicyError::UnknownLabelKey { .. })
        ));
    }
}
