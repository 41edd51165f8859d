//! Answers of the REST API that are no Issue and no pull request; those are read by `domain`, as in webhooks.
use chrono::{DateTime, Utc};
use domain::events::{Account, Comment, Review, ThreadKind};
use domain::recovery::{Attempt, OpenThread};
use serde::{Deserialize, Deserializer};

/// `null` counts as absent.
fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AccountObject {
    id: i64,
    #[serde(deserialize_with = "lenient")]
    login: String,
    #[serde(rename = "type", deserialize_with = "lenient")]
    account_type: String,
}

impl From<AccountObject> for Account {
    fn from(object: AccountObject) -> Self {
        Self {
            id: object.id,
            login: object.login,
            account_type: object.account_type,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LabelObject {
    #[serde(deserialize_with = "lenient")]
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReviewObject {
    id: i64,
    #[serde(deserialize_with = "lenient")]
    state: String,
    #[serde(deserialize_with = "lenient")]
    body: String,
    #[serde(deserialize_with = "lenient")]
    user: AccountObject,
    #[serde(deserialize_with = "lenient")]
    commit_id: String,
    submitted_at: Option<DateTime<Utc>>,
}

impl From<ReviewObject> for Review {
    fn from(object: ReviewObject) -> Self {
        Self {
            id: object.id,
            // Upper case in REST, lower case in webhooks.
            state: object.state.to_ascii_lowercase(),
            body: object.body,
            user: object.user.into(),
            commit_id: object.commit_id,
            submitted_at: object.submitted_at,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CommentObject {
    pub id: i64,
    #[serde(deserialize_with = "lenient")]
    pub body: String,
    #[serde(deserialize_with = "lenient")]
    pub html_url: String,
    #[serde(deserialize_with = "lenient")]
    user: AccountObject,
    created_at: Option<DateTime<Utc>>,
}

impl From<CommentObject> for Comment {
    fn from(object: CommentObject) -> Self {
        Self {
            id: object.id,
            body: object.body,
            user: object.user.into(),
            created_at: object.created_at,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct HookObject {
    pub id: i64,
    #[serde(default)]
    pub config: HookConfigObject,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HookConfigObject {
    #[serde(deserialize_with = "lenient")]
    pub url: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct AttemptObject {
    id: i64,
    guid: String,
    #[serde(default)]
    delivered_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    status: String,
    #[serde(default, deserialize_with = "lenient")]
    status_code: i64,
    #[serde(default, deserialize_with = "lenient")]
    event: String,
    #[serde(default, deserialize_with = "lenient")]
    action: String,
}

impl From<AttemptObject> for Attempt {
    fn from(object: AttemptObject) -> Self {
        Self {
            id: object.id,
            delivery_id: object.guid,
            event: object.event,
            action: object.action,
            made_at: object.delivered_at.filter(|_| object.status != "pending"),
            status: object.status_code,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ThreadObject {
    number: i64,
    #[serde(default)]
    labels: Vec<LabelObject>,
    updated_at: DateTime<Utc>,
    #[serde(default)]
    pull_request: Option<serde::de::IgnoredAny>,
}

impl From<ThreadObject> for OpenThread {
    fn from(object: ThreadObject) -> Self {
        Self {
            kind: match object.pull_request {
                Some(_) => ThreadKind::PullRequest,
                None => ThreadKind::Issue,
            },
            number: object.number,
            labels: object.labels.into_iter().map(|label| label.name).collect(),
            updated_at: object.updated_at,
        }
    }
}
