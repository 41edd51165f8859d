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
}

/// What one label needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelChange {
    Create {
        name: String,
        description: String,
    },
    /// Only the colour is repaired; the name is the same but for its case.
    Recolour {
        name: String,
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
            match existing
                .iter()
                .find(|found| fold(&found.name) == fold(name))
            {
                None => Some(LabelChange::Create {
                    name: name.to_owned(),
                    description: label.description(),
                }),
                Some(found) if !found.color.eq_ignore_ascii_case(LABEL_COLOUR) => {
                    Some(LabelChange::Recolour {
                        name: found.name.clone(),
                    })
                }
                Some(_) => None,
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
                // Somebody made it meanwhile: that is what was wanted.
                Err(GithubError::Refused { status, .. }) if status.as_u16() == 422 => Ok(()),
                Err(error) => Err(error),
            }
        }
        LabelChange::Recolour { name } => {
            let segment: String = url::form_urlencoded::byte_serialize(name.as_bytes())
                .collect::<String>()
                .replace('+', "%20");
            let body = json!({ "color": LABEL_COLOUR });
            client
                .patch::<Value>(&format!("{route}/{segment}"), &body)
                .await
                .map(|_| ())
        }
    }
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

    fn existing(name: &str, color: &str) -> ExistingLabel {
        ExistingLabel {
            name: name.to_owned(),
            color: color.to_owned(),
        }
    }

    #[test]
    fn a_fresh_repository_gets_all_and_a_synced_one_nothing() {
        let catalogue = Catalogue::default();
        let all = plan_labels(&catalogue, &[]);
        assert_eq!(all.len(), 54);
        let synced: Vec<_> = catalogue
            .entries()
            .map(|(_, name)| existing(name, "1F6FEB"))
            .collect();
        assert!(plan_labels(&catalogue, &synced).is_empty());
    }

    #[test]
    fn a_wrong_colour_is_repaired_and_foreign_labels_are_left_alone() {
        let catalogue = Catalogue::default();
        let mut labels: Vec<_> = catalogue
            .entries()
            .map(|(_, name)| existing(name, "1f6feb"))
            .filter(|label| label.name != "run:dev")
            .collect();
        labels.push(existing("Run:Dev", "ff0000"));
        labels.push(existing("bug", "d73a4a"));
        assert_eq!(
            plan_labels(&catalogue, &labels),
            [LabelChange::Recolour {
                name: "Run:Dev".to_owned()
            }]
        );
    }
}
