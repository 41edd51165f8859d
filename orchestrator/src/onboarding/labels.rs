//! The 54 catalogue labels in a repository: created or repaired, foreign ones left alone (L-1, R-142).
use backon::{ExponentialBuilder, Retryable};
use domain::labels::{Catalogue, LABEL_COLOUR};
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

use super::OnboardingError;
use crate::github::{FaultClass, GithubClient, GithubError};

/// Calls at once: a fresh repository needs 54, and GitHub's secondary limits dislike bursts.
const CONCURRENT_CALLS: usize = 16;
/// 429 and 5xx are tried again this often.
const RETRIES: usize = 20;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A person waits for the answer; what is not done by then can be asked for again.
const LONGEST_SYNC: Duration = Duration::from_secs(60);

/// A label as the repository has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExistingLabel {
    pub name: String,
    #[serde(default)]
    pub color: String,
    #[serde(default)]
    pub description: Option<String>,
}

impl ExistingLabel {
    fn is_as(&self, description: &str) -> bool {
        self.color.eq_ignore_ascii_case(LABEL_COLOUR)
            && self.description.as_deref().unwrap_or_default() == description
    }
}

/// What one label needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelChange {
    Create {
        name: String,
        description: String,
    },
    /// Colour and description are repaired; the name is the same but for its case, and stays.
    Repair {
        name: String,
        description: String,
    },
}

/// What a sync did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct LabelSyncReport {
    pub created: usize,
    pub repaired: usize,
    pub unchanged: usize,
}

/// Compares the catalogue with what is there; names compare trimmed and in any case (L-2).
pub fn plan_labels(catalogue: &Catalogue, existing: &[ExistingLabel]) -> Vec<LabelChange> {
    let fold = |name: &str| name.trim().to_lowercase();
    catalogue
        .entries()
        .filter_map(|(label, name)| {
            let description = label.description();
            let found = existing
                .iter()
                .find(|found| fold(&found.name) == fold(name));
            match found {
                None => Some(LabelChange::Create {
                    name: name.to_owned(),
                    description,
                }),
                Some(found) if found.is_as(&description) => None,
                Some(found) => Some(LabelChange::Repair {
                    name: found.name.clone(),
                    description,
                }),
            }
        })
        .collect()
}

/// Makes the repository bear the catalogue; deletes nothing.
pub async fn sync_labels(
    client: &GithubClient,
    full_name: &str,
    catalogue: &Catalogue,
) -> Result<LabelSyncReport, OnboardingError> {
    let route = format!("/repos/{full_name}/labels");
    let existing: Vec<ExistingLabel> = retried(|| client.get_all(&route))
        .await
        .map_err(OnboardingError::at("list its labels"))?;
    let changes = plan_labels(catalogue, &existing);
    let created = changes
        .iter()
        .filter(|change| matches!(change, LabelChange::Create { .. }))
        .count();
    let report = LabelSyncReport {
        created,
        repaired: changes.len() - created,
        unchanged: catalogue.entries().count() - changes.len(),
    };
    futures::stream::iter(changes.iter().map(Ok))
        .try_for_each_concurrent(CONCURRENT_CALLS, |change| {
            let route = route.as_str();
            async move { retried(|| apply(client, route, change)).await }
        })
        .await
        .map_err(OnboardingError::at("write its labels"))?;
    Ok(report)
}

async fn apply(
    client: &GithubClient,
    route: &str,
    change: &LabelChange,
) -> Result<(), GithubError> {
    match change {
        LabelChange::Create { name, description } => {
            let body = json!({ "name": name, "color": LABEL_COLOUR, "description": description });
            match client.post::<Value>(route, &body).await {
                Ok(_) => Ok(()),
                // Somebody made it meanwhile, which is what was wanted; any other 422 means the name.
                Err(GithubError::Refused { status, .. })
                    if status.as_u16() == 422 && exists(client, route, name).await? =>
                {
                    Ok(())
                }
                Err(error) => Err(error),
            }
        }
        LabelChange::Repair { name, description } => {
            let body = json!({ "color": LABEL_COLOUR, "description": description });
            client
                .patch::<Value>(&format!("{route}/{}", segment(name)), &body)
                .await
                .map(|_| ())
        }
    }
}

async fn exists(client: &GithubClient, route: &str, name: &str) -> Result<bool, GithubError> {
    match client
        .get::<Value>(&format!("{route}/{}", segment(name)))
        .await
    {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// Safe to repeat: every call here is find-or-create.
async fn retried<T, F, C>(call: C) -> Result<T, GithubError>
where
    C: FnMut() -> F,
    F: Future<Output = Result<T, GithubError>>,
{
    call.retry(
        ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_total_delay(Some(LONGEST_SYNC))
            .with_jitter()
            .with_max_times(RETRIES),
    )
    .when(|error| {
        error.class() == FaultClass::Transient && !matches!(error, GithubError::Unreachable(_))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: &str = include_str!("../../../docs/spec/labels-and-stages.md");

    fn existing(name: &str, color: &str, description: &str) -> ExistingLabel {
        ExistingLabel {
            name: name.to_owned(),
            color: color.to_owned(),
            description: Some(description.to_owned()),
        }
    }

    fn synced(catalogue: &Catalogue) -> Vec<ExistingLabel> {
        catalogue
            .entries()
            .map(|(label, name)| existing(name, "1F6FEB", &label.description()))
            .collect()
    }

    /// Names, numbers and colour are those of L-1, and GitHub takes the texts (at most 50 and 100 characters).
    #[test]
    fn a_fresh_repository_gets_all_and_a_synced_one_nothing() {
        let rule = LABELS
            .lines()
            .find(|line| line.starts_with("- **L-1**"))
            .expect("the rule");
        assert!(rule.contains(&format!("`{LABEL_COLOUR}`")));
        let catalogue = Catalogue::default();
        let all = plan_labels(&catalogue, &[]);
        assert!(rule.contains(&format!("= {}.", all.len())), "{}", all.len());
        let mut descriptions = std::collections::BTreeSet::new();
        for change in &all {
            let LabelChange::Create { name, description } = change else {
                panic!("{change:?}");
            };
            assert!(LABELS.contains(&format!("`{name}`")), "{name}");
            assert!(name.chars().count() <= 50, "{name}");
            assert!((1..=100).contains(&description.chars().count()), "{name}");
            assert!(descriptions.insert(description), "{description} twice");
        }
        assert!(plan_labels(&catalogue, &synced(&catalogue)).is_empty());
    }

    #[test]
    fn colour_and_description_are_repaired_and_foreign_labels_are_left_alone() {
        let catalogue = Catalogue::default();
        let development = || "Start the dev stage".to_owned();
        for (name, colour, description) in [
            ("Run:Dev", "ff0000", development()),
            ("run:dev", "1f6feb", "mine".to_owned()),
            ("run:dev", "1f6feb", String::new()),
        ] {
            let mut labels = synced(&catalogue);
            labels.retain(|label| label.name != "run:dev");
            labels.push(existing(name, colour, &description));
            labels.push(existing("bug", "d73a4a", "Something is broken"));
            assert_eq!(
                plan_labels(&catalogue, &labels),
                [LabelChange::Repair {
                    name: name.to_owned(),
                    description: development(),
                }]
            );
        }
    }

    #[test]
    fn a_renamed_label_is_created_and_its_old_name_is_foreign() {
        let renames = [("run:dev".to_owned(), "stage:build".to_owned())].into();
        let catalogue = Catalogue::with_renames(&renames).expect("free names");
        let before = synced(&Catalogue::default());
        assert_eq!(
            plan_labels(&catalogue, &before),
            [LabelChange::Create {
                name: "stage:build".to_owned(),
                description: "Start the dev stage".to_owned(),
            }]
        );
    }
}
