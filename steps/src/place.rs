//! The small world a scenario makes for itself (E-3): a project, a repository with people, an Issue; and the
//! deliveries that GitHub sends from it.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;
use serde_json::Value;

use crate::{
    github::Person,
    platform::Platform,
    wait::{DECISION_DEADLINE, Reading, until},
    world::Gate,
};

/// A bound repository with its people and an open Issue.
#[derive(Clone, Debug)]
pub struct Place {
    /// `owner/name`.
    pub repository: String,
    pub repository_id: u64,
    pub project_id: String,
    pub issue: u64,
    /// Permitted actor: project member with role `read_write`.
    pub member: Person,
    /// Has rights on GitHub, but is unknown to the platform.
    pub outsider: Person,
    /// Owner of the repository on GitHub.
    pub maintainer: Person,
}

/// One delivery as the stand-in sent it, with the answer it got.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Position among the stand-in's deliveries; rises.
    pub sequence: u64,
    pub guid: String,
    pub event: String,
    pub action: String,
    pub payload: Arc<Value>,
    /// Absent until answered.
    pub status: Option<u16>,
    pub answer: Value,
}

impl Delivery {
    /// The answer in one line, for observations.
    #[must_use]
    pub fn summary(&self) -> String {
        let status = self
            .status
            .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        let run = if self.answer["run_id"].is_string() {
            "with run_id"
        } else {
            "without run_id"
        };
        format!(
            "{status} {} {run}",
            self.answer["status"].as_str().unwrap_or("-")
        )
    }
}

/// Makes a repository with the files of a story, people and an Issue, and binds it to a new project.
///
/// # Errors
/// When GitHub's stand-in or the staff API refuses.
pub async fn bound_repository(
    gate: &Gate,
    platform: &Platform,
    files: BTreeMap<String, String>,
) -> anyhow::Result<Place> {
    let place = unbound_repository(gate, files).await?;
    bind(gate, platform, place).await
}

/// Binds a repository to a new project, and opens an Issue in it.
///
/// # Errors
/// When GitHub's stand-in or the staff API refuses.
pub async fn bind(gate: &Gate, platform: &Platform, place: Place) -> anyhow::Result<Place> {
    let Place {
        member, repository, ..
    } = &place;
    let (owner, name) = repository
        .split_once('/')
        .context("a repository has an owner")?;
    let email = email_of(&member.login);
    let staff = platform.staff_of_beginnings();
    let (user, project) = tokio::try_join!(
        staff.create_user(&email, &member.login),
        staff.create_project(owner, owner)
    )?;
    let token = gate.github.platform_token();
    tokio::try_join!(
        staff.add_member(&project, &user, "read_write"),
        staff.bind_repository(&project, owner, name, &token)
    )?;
    let issue = member
        .open_issue(
            repository,
            "Greet the visitor",
            "The page should say hello.",
        )
        .await?;
    Ok(Place {
        project_id: project,
        issue,
        ..place
    })
}

/// The address by which the platform knows a person of the scenarios.
#[must_use]
pub fn email_of(login: &str) -> String {
    format!("{login}@people.example")
}

/// A repository with people, known to no project, without an Issue.
///
/// # Errors
/// When GitHub's stand-in refuses.
pub async fn unbound_repository(
    gate: &Gate,
    files: BTreeMap<String, String>,
) -> anyhow::Result<Place> {
    let suffix: String = uuid::Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .take(10)
        .collect();
    let made = gate.github.create_place(&suffix, files).await?;
    let person = |(login, token): &(String, String)| Person::new(login, gate.github.as_user(token));
    Ok(Place {
        repository: made.repository.clone(),
        repository_id: made.repository_id,
        project_id: String::new(),
        issue: 0,
        member: person(&made.member),
        outsider: person(&made.outsider),
        maintainer: person(&made.maintainer),
    })
}

/// The position after which a delivery counts as new.
#[must_use]
pub fn mark(gate: &Gate, repository: &str) -> u64 {
    gate.github.last_delivery(repository)
}

/// Waits for the first answered delivery after `mark` that `wanted` accepts.
///
/// # Errors
/// When none came in time.
pub async fn delivery_after(
    gate: &Gate,
    repository: &str,
    mark: u64,
    what: &str,
    wanted: impl Fn(&Delivery) -> bool,
) -> anyhow::Result<Delivery> {
    until(
        &format!("the delivery of {what}"),
        DECISION_DEADLINE,
        async || {
            let newer = gate.github.deliveries_after(repository, mark);
            if let Some(found) = newer.iter().find(|delivery| {
                let kept = || gate.keeps(repository, delivery);
                wanted(delivery) && (delivery.status.is_some() || kept())
            }) {
                return Ok(Reading::Reached(found.clone()));
            }
            let seen: Vec<_> = newer
                .iter()
                .map(|delivery| {
                    format!(
                        "{}.{} {}",
                        delivery.event,
                        delivery.action,
                        delivery.summary()
                    )
                })
                .collect();
            Ok(Reading::NotYet(format!(
                "{} newer deliveries: {}",
                seen.len(),
                seen.join("; ")
            )))
        },
    )
    .await
}

/// Whether the delivery reports that `label` was put on a thread.
#[must_use]
pub fn is_labeled(delivery: &Delivery, event: &str, label: &str) -> bool {
    delivery.event == event
        && delivery.action == "labeled"
        && delivery.payload["label"]["name"] == label
}
