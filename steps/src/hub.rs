//! GitHub's stand-in as the steps use it: accounts that outlive scenarios, repositories with people, deliveries, and
//! faults per repository.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, bail};
use fixtures::github::{
    DeliveryEffect, DeliveryFault, Effect, EntryKind, Fault, FaultId, GithubClient, GithubHandle,
    Limited, NewRepository, Permission, RawDelivery, Target, UserKind,
};
use reports::delivery_algebra::{Attempt, JournaledDelivery, TransformKind};
use serde_json::{Value, json};

use crate::place::Delivery;

/// Colour of the catalogue's labels (L-1).
const LABEL_COLOUR: &str = "1f6feb";

/// Accounts that every repository of the gate knows, with their tokens.
#[derive(Clone)]
pub struct Accounts {
    pub platform_login: String,
    pub platform_token: String,
    pub bot_login: String,
    pub bot_token: String,
    pub owner_login: String,
    pub owner_token: String,
}

/// A repository that was made for a scenario; people as (login, token).
pub struct Made {
    pub repository: String,
    pub repository_id: u64,
    pub maintainer: (String, String),
    pub member: (String, String),
    pub outsider: (String, String),
}

/// A span of time as the stand-in records it.
fn seconds(seconds: f64) -> chrono::TimeDelta {
    std::time::Duration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|span| chrono::TimeDelta::from_std(span).ok())
        .unwrap_or_default()
}

/// The stand-in with what the gate remembers of it.
pub struct Hub {
    handle: GithubHandle,
    accounts: Accounts,
    faults: Mutex<HashMap<String, Vec<(FaultId, Target)>>>,
    tokens: Mutex<HashMap<String, String>>,
}

impl Hub {
    /// Makes the accounts of the platform, its bot and its owner.
    ///
    /// # Errors
    /// When they exist already.
    pub fn new(handle: GithubHandle, accounts: Accounts) -> anyhow::Result<Arc<Self>> {
        handle.create_user_with_token(
            &accounts.platform_login,
            UserKind::User,
            &accounts.platform_token,
        )?;
        handle.create_user_with_token(&accounts.bot_login, UserKind::User, &accounts.bot_token)?;
        handle.create_user_with_token(
            &accounts.owner_login,
            UserKind::User,
            &accounts.owner_token,
        )?;
        Ok(Arc::new(Self {
            handle,
            accounts,
            faults: Mutex::default(),
            tokens: Mutex::default(),
        }))
    }

    #[must_use]
    pub fn handle(&self) -> &GithubHandle {
        &self.handle
    }

    #[must_use]
    pub fn bot_login(&self) -> String {
        self.accounts.bot_login.clone()
    }

    #[must_use]
    pub fn platform_login(&self) -> String {
        self.accounts.platform_login.clone()
    }

    #[must_use]
    pub fn owner_login(&self) -> String {
        self.accounts.owner_login.clone()
    }

    #[must_use]
    pub fn platform_token(&self) -> String {
        self.accounts.platform_token.clone()
    }

    #[must_use]
    pub fn bot_token(&self) -> String {
        self.accounts.bot_token.clone()
    }

    #[must_use]
    pub fn as_user(&self, token: &str) -> GithubClient {
        self.handle.as_user(token)
    }

    /// Makes an organisation with a repository, its maintainer, a member and an outsider; the platform may
    /// administer it, the bot may write.
    ///
    /// # Errors
    /// When the stand-in refuses.
    pub async fn create_place(
        &self,
        suffix: &str,
        files: BTreeMap<String, String>,
    ) -> anyhow::Result<Made> {
        let organization = format!("shop-{suffix}");
        let people: Vec<(String, String)> = ["maintainer", "member", "outsider"]
            .into_iter()
            .map(|role| {
                let login = format!("{role}-{suffix}");
                let token = self.handle.create_user(&login, UserKind::User)?;
                anyhow::Ok((login, token))
            })
            .collect::<Result<_, _>>()?;
        let [maintainer, member, outsider] =
            <[_; 3]>::try_from(people).expect("three roles make three people");
        self.handle
            .create_organization(&organization, &maintainer.0)?;
        let files = files
            .into_iter()
            .map(|(path, text)| (path, text.into_bytes()))
            .collect();
        // An organisation gives its repositories default labels: binding finds the catalogue there and repairs nothing.
        let labels = crate::expected::catalogue()
            .into_iter()
            .map(|name| (name, LABEL_COLOUR.to_owned()))
            .collect();
        let wish = NewRepository {
            owner: organization.clone(),
            name: "app".to_owned(),
            files,
            labels,
            ..NewRepository::default()
        };
        let repository_id = self.handle.create(wish).await?;
        let repository = format!("{organization}/app");
        for (login, permission) in [
            (&maintainer.0, Permission::Admin),
            (&member.0, Permission::Write),
            (&outsider.0, Permission::Write),
            (&self.accounts.platform_login, Permission::Admin),
            (&self.accounts.bot_login, Permission::Write),
            (&self.accounts.owner_login, Permission::Admin),
        ] {
            self.handle
                .add_collaborator(&repository, login, permission)?;
        }
        Ok(Made {
            repository,
            repository_id,
            maintainer,
            member,
            outsider,
        })
    }

    /// Takes the bot's right to write to the repository.
    ///
    /// # Errors
    /// When the stand-in refuses.
    pub fn let_bot_only_read(&self, repository: &str) -> anyhow::Result<()> {
        let bot = &self.accounts.bot_login;
        self.handle
            .add_collaborator(repository, bot, Permission::Read)?;
        Ok(())
    }

    /// One more account with write access to the repository.
    ///
    /// # Errors
    /// When the stand-in refuses.
    pub fn create_collaborator(&self, repository: &str, login: &str) -> anyhow::Result<()> {
        self.create_account(repository, login, UserKind::User)
    }

    fn create_account(&self, repository: &str, login: &str, kind: UserKind) -> anyhow::Result<()> {
        let token = self.handle.create_user(login, kind)?;
        self.handle
            .add_collaborator(repository, login, Permission::Write)?;
        self.tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(login.to_owned(), token);
        Ok(())
    }

    /// An account of type Bot with write access to the repository; its login.
    ///
    /// # Errors
    /// When the stand-in refuses.
    pub fn create_bot(&self, repository: &str, login: &str) -> anyhow::Result<()> {
        self.create_account(repository, login, UserKind::Bot)
    }

    /// The token of an account that the gate made.
    ///
    /// # Errors
    /// When it did not make it.
    pub fn token_of(&self, _repository: &str, login: &str) -> anyhow::Result<String> {
        if login == self.accounts.owner_login {
            return Ok(self.accounts.owner_token.clone());
        }
        if login == self.accounts.bot_login {
            return Ok(self.accounts.bot_token.clone());
        }
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens
            .get(login)
            .cloned()
            .with_context(|| format!("the gate made no account {login}"))
    }

    /// Deliveries of the repository, oldest first.
    #[must_use]
    pub fn deliveries(&self, repository: &str) -> Vec<Delivery> {
        self.deliveries_after(repository, 0)
    }

    /// Position of the newest delivery of the repository; 0 when there is none.
    #[must_use]
    pub fn last_delivery(&self, repository: &str) -> u64 {
        self.handle.read(|state| {
            state
                .deliveries_of(repository)
                .last()
                .map_or(0, |delivery| delivery.id)
        })
    }

    /// Deliveries after a position, oldest first.
    #[must_use]
    pub fn deliveries_after(&self, repository: &str, position: u64) -> Vec<Delivery> {
        let newer: Vec<_> = self.handle.read(|state| {
            state
                .deliveries_of(repository)
                .into_iter()
                .filter(|delivery| delivery.id > position)
                .cloned()
                .collect()
        });
        newer
            .into_iter()
            .map(|delivery| Delivery {
                sequence: delivery.id,
                guid: delivery.guid.clone(),
                event: delivery.event.clone(),
                action: delivery.action.clone().unwrap_or_default(),
                payload: Arc::new(delivery.payload()),
                status: delivery.is_finished().then_some(delivery.status_code),
                answer: delivery.answer(),
            })
            .collect()
    }

    /// Sends a delivery again under its own id.
    ///
    /// # Errors
    /// When there is none with this id.
    pub fn redeliver(&self, repository: &str, guid: &str) -> anyhow::Result<()> {
        let deliveries = self.handle.deliveries(repository);
        let delivery = deliveries
            .iter()
            .find(|delivery| delivery.guid == guid)
            .context("there is no such delivery")?;
        self.handle.redeliver(delivery.id)?;
        Ok(())
    }

    /// Sends a payload of our own, signed like any other; returns its delivery id.
    ///
    /// # Errors
    /// When the repository has no webhook.
    pub fn deliver(
        &self,
        repository: &str,
        event: &str,
        payload: &Value,
    ) -> anyhow::Result<String> {
        let guid = uuid::Uuid::new_v4().to_string();
        let raw = RawDelivery {
            event: event.to_owned(),
            body: serde_json::to_vec(payload).context("failed to write a payload")?,
            delivery_id: Some(guid.clone()),
            ..RawDelivery::default()
        };
        self.handle.deliver_raw(repository, raw)?;
        Ok(guid)
    }

    /// Lets something happen to the one delivery of the repository that `wanted` describes.
    #[must_use]
    pub fn transform_delivery(
        &self,
        repository: &str,
        kind: TransformKind,
        wanted: &JournaledDelivery,
    ) -> FaultId {
        let effect = match kind {
            TransformKind::Drop => DeliveryEffect::Lost,
            TransformKind::Duplicate => DeliveryEffect::Duplicated { copies: 1 },
            TransformKind::Swap => DeliveryEffect::Reordered,
            TransformKind::Late => DeliveryEffect::Late,
        };
        let mut fault = DeliveryFault::new(repository, effect)
            .event(&wanted.sent.event)
            .after(wanted.occurrence)
            .times(1);
        if let Some(action) = &wanted.sent.action {
            fault = fault.action(action);
        }
        if let Some(label) = &wanted.sent.label {
            fault = fault.label(label);
        }
        if let Some(thread) = wanted.sent.thread {
            fault = fault.thread(thread);
        }
        self.handle.set_delivery_fault(fault)
    }

    /// GitHub sends the next delivery of a label nowhere; it stays in the hook's list.
    pub fn lose_label_delivery(&self, repository: &str, label: &str) -> FaultId {
        let fault = DeliveryFault::new(repository, DeliveryEffect::Lost)
            .event("issues")
            .action("labeled")
            .label(label)
            .times(1);
        self.handle.set_delivery_fault(fault)
    }

    /// The delivery that a fault has met: its id here, and GitHub's.
    #[must_use]
    pub fn met_by(&self, repository: &str, fault: FaultId) -> Option<(u64, String)> {
        let fault = json!(fault);
        let entries = self.handle.journal(|entry| {
            entry.kind == EntryKind::Fault
                && entry.repository.as_deref() == Some(repository)
                && entry
                    .detail
                    .as_ref()
                    .is_some_and(|detail| detail["fault"] == fault)
        });
        let entry = entries.into_iter().next()?;
        let id = entry.detail.as_ref()?["id"].as_u64()?;
        Some((id, entry.delivery_id?))
    }

    /// Every attempt to hand over this delivery, oldest first: `first` or `again`, with the status of the answer; 0 when
    /// there was none.
    #[must_use]
    pub fn attempts_at(&self, repository: &str, guid: &str) -> Vec<String> {
        self.handle.read(|state| {
            state
                .deliveries_of(repository)
                .into_iter()
                .filter(|delivery| delivery.guid == guid)
                .map(|delivery| {
                    let which = if delivery.redelivery {
                        "again"
                    } else {
                        "first"
                    };
                    format!("{which} {}", delivery.status_code)
                })
                .collect()
        })
    }

    /// Deliveries of the repository that have no answer yet, by id.
    #[must_use]
    pub fn unanswered(&self, repository: &str) -> Vec<u64> {
        self.handle.read(|state| {
            state
                .deliveries_of(repository)
                .into_iter()
                .filter(|delivery| !delivery.is_finished())
                .map(|delivery| delivery.id)
                .collect()
        })
    }

    /// Every attempt to hand over a delivery of the repository, in the order they were queued.
    #[must_use]
    pub fn attempts(&self, repository: &str) -> Vec<Attempt> {
        self.handle.read(|state| {
            state
                .deliveries_of(repository)
                .into_iter()
                .map(|delivery| Attempt {
                    delivery: delivery.guid.clone(),
                    queued_at: delivery.queued_at,
                    arrived_at: delivery
                        .finished_at
                        .filter(|_| delivery.status_code > 0)
                        .map(|finished| finished - seconds(delivery.duration)),
                    redelivery: delivery.redelivery,
                })
                .collect()
        })
    }

    /// The payload GitHub would send for an Issue now.
    ///
    /// # Errors
    /// When there is no such Issue.
    pub fn issue_payload(
        &self,
        repository: &str,
        number: u64,
        action: &str,
    ) -> anyhow::Result<Value> {
        let login = self.handle.read(|state| {
            state
                .issue(repository, number)
                .map(|issue| issue.author.clone())
        });
        let login = login.context("there is no such Issue")?;
        Ok(self
            .handle
            .render_thread_payload(repository, number, action, &login)?)
    }

    /// A payload of an event that nobody handles.
    ///
    /// # Errors
    /// When there is no such repository or the gate knows no example.
    pub fn example_payload(&self, repository: &str, event: &str) -> anyhow::Result<Value> {
        let mut payload = self.issue_payload(repository, 1, "created")?;
        match event {
            "ping" => {
                payload["zen"] = json!("Keep it logically awesome.");
                payload["hook_id"] = json!(1);
                payload["hook"] =
                    json!({"type": "Repository", "id": 1, "active": true, "events": ["push"]});
            }
            "pull_request_review_comment" => {
                payload["comment"] = json!({"id": 1, "body": "Why not shorter?", "path": "src/lib.rs", "user": payload["sender"]});
                payload["pull_request"] = json!({"number": 1, "title": "Greet", "state": "open", "head": {"ref": "by-hand", "sha": ""}, "base": {"ref": "main"}});
            }
            _ => bail!("the gate knows no example of {event}"),
        }
        Ok(payload)
    }

    /// Puts a label on an Issue as the maintainer would, with its delivery kept from everybody: the stand-in's hooks
    /// are paused for it.
    ///
    /// # Errors
    /// When the stand-in refuses.
    pub async fn set_label_silently(
        &self,
        repository: &str,
        number: u64,
        label: &str,
    ) -> anyhow::Result<()> {
        let client = self.as_user(&self.accounts.platform_token);
        let hooks = client.get(&format!("/repos/{repository}/hooks")).await?;
        let ids: Vec<u64> = hooks
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|hook| hook["id"].as_u64())
            .collect();
        for (active, then) in [(false, true), (true, false)] {
            for id in &ids {
                client
                    .call(
                        reqwest::Method::PATCH,
                        &format!("/repos/{repository}/hooks/{id}"),
                        Some(&json!({"active": active})),
                    )
                    .await?;
            }
            if then {
                client.add_label(repository, number, label).await?;
            }
        }
        Ok(())
    }

    fn fault(&self, repository: &str, target: Target, effect: Effect, actor: Option<&str>) {
        let mut fault = Fault::new(repository, target.clone(), effect);
        if let Some(actor) = actor {
            fault = fault.by(actor);
        }
        let id = self.handle.set_fault(fault);
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(repository.to_owned())
            .or_default()
            .push((id, target));
    }

    /// The platform's settings of labels on threads are answered with this status, so many times or for good.
    pub fn fail_label_writes(&self, repository: &str, status: u16, times: Option<u32>) {
        let mut fault = Fault::new(repository, Target::LabelWrites, Effect::Fail { status })
            .by(&self.accounts.bot_login);
        if let Some(times) = times {
            fault = fault.times(times);
        }
        let id = self.handle.set_fault(fault);
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(repository.to_owned())
            .or_default()
            .push((id, Target::LabelWrites));
    }

    /// The bot's changes of labels get no answer until released.
    pub fn hold_label_writes(&self, repository: &str) {
        self.fault(
            repository,
            Target::LabelWrites,
            Effect::Hold,
            Some(&self.accounts.bot_login),
        );
    }

    /// The bot's next setting of a label, though not its removals, is refused for good.
    pub fn refuse_next_label(&self, repository: &str) {
        let target = Target::Path {
            method: "POST".to_owned(),
            contains: "/labels".to_owned(),
        };
        let fault = Fault::new(repository, target.clone(), Effect::Fail { status: 422 })
            .by(&self.accounts.bot_login)
            .times(1);
        let id = self.handle.set_fault(fault);
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(repository.to_owned())
            .or_default()
            .push((id, target));
    }

    /// The platform's settings of secrets for workflows are answered with this status, so many times.
    pub fn fail_secret_writes(&self, repository: &str, status: u16, times: u32) {
        let target = Target::Path {
            method: "PUT".to_owned(),
            contains: "/secrets/".to_owned(),
        };
        let fault = Fault::new(repository, target.clone(), Effect::Fail { status }).times(times);
        let id = self.handle.set_fault(fault);
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(repository.to_owned())
            .or_default()
            .push((id, target));
    }

    /// Who set secrets for workflows, and what was answered, in order.
    #[must_use]
    pub fn secret_writes(&self, repository: &str) -> Vec<(String, u16)> {
        self.handle
            .journal(|entry| {
                entry.repository.as_deref() == Some(repository)
                    && entry.method.as_deref() == Some("PUT")
                    && entry
                        .path
                        .as_deref()
                        .is_some_and(|path| path.contains("/secrets/"))
            })
            .into_iter()
            .filter_map(|entry| Some((entry.actor?, entry.status?)))
            .collect()
    }

    /// How often the bot's changes of labels met a fault.
    #[must_use]
    pub fn met_label_writes(&self, repository: &str) -> u32 {
        self.refusals(repository, &Target::LabelWrites)
    }

    /// How many settings of labels were refused.
    #[must_use]
    pub fn failed_label_writes(&self, repository: &str) -> u32 {
        self.refusals(repository, &Target::LabelWrites)
    }

    fn refusals(&self, repository: &str, of: &Target) -> u32 {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults
            .get(repository)
            .into_iter()
            .flatten()
            .filter(|(_, target)| target == of)
            .map(|(id, _)| self.handle.fault_met(*id))
            .sum()
    }

    /// What the bot wrote to a thread, in order: `labels` or `comments`, with the status of the answer.
    #[must_use]
    pub fn writes_of_platform(&self, repository: &str, number: u64) -> Vec<(String, u16)> {
        let thread = format!("/issues/{number}/");
        let bot = self.accounts.bot_login.as_str();
        self.handle
            .journal(|entry| {
                entry.repository.as_deref() == Some(repository)
                    && entry.method.as_deref() == Some("POST")
                    && entry.actor.as_deref() == Some(bot)
            })
            .into_iter()
            .filter_map(|entry| {
                let path = entry.path?;
                let what = path.split_once(&thread)?.1.to_owned();
                Some((what, entry.status?))
            })
            .filter(|(what, _)| what == "labels" || what == "comments")
            .collect()
    }

    /// The bot's pull requests meet a rate limit: those are opened by the agent.
    pub fn limit_agent(&self, repository: &str, limited: Limited) {
        let effect = Effect::RateLimit(limited);
        let bot = self.accounts.bot_login.as_str();
        self.fault(repository, Target::PullWrites, effect, Some(bot));
    }

    /// The bot's pull requests are refused as with a token that was revoked.
    pub fn revoke_agent(&self, repository: &str) {
        let bot = self.accounts.bot_login.as_str();
        self.fault(
            repository,
            Target::PullWrites,
            Effect::BadCredentials,
            Some(bot),
        );
    }

    /// The bot's comments meet a rate limit: those are written by the platform.
    pub fn limit_comments(&self, repository: &str, limited: Limited) {
        let effect = Effect::RateLimit(limited);
        let bot = self.accounts.bot_login.as_str();
        self.fault(repository, Target::CommentWrites, effect, Some(bot));
    }

    /// Requests that met a rate limit, as method and path after the repository, in order; also after its release.
    #[must_use]
    pub fn limited_requests(&self, repository: &str) -> Vec<String> {
        self.handle
            .journal(|entry| {
                entry.kind == EntryKind::Fault
                    && entry.repository.as_deref() == Some(repository)
                    && entry
                        .detail
                        .as_ref()
                        .is_some_and(|detail| detail["effect"]["rate_limit"] != Value::Null)
            })
            .into_iter()
            .map(|entry| {
                format!(
                    "{} {}",
                    entry.method.unwrap_or_default(),
                    entry.path.unwrap_or_default()
                )
            })
            .collect()
    }

    /// Every comment is answered with 503.
    pub fn refuse_comments(&self, repository: &str) {
        self.fault(
            repository,
            Target::CommentWrites,
            Effect::Fail { status: 503 },
            None,
        );
    }

    /// How many comments were refused.
    #[must_use]
    pub fn refused_comments(&self, repository: &str) -> u32 {
        self.refusals(repository, &Target::CommentWrites)
    }

    /// The platform's reads of labels are answered with 502; people still see them.
    pub fn fail_label_reads(&self, repository: &str) {
        self.fault(
            repository,
            Target::LabelReads,
            Effect::Fail { status: 502 },
            Some(&self.accounts.platform_login),
        );
    }

    /// The bot's reads of pull requests are answered with 502; people still see them.
    pub fn fail_pull_reads(&self, repository: &str) {
        for login in [&self.accounts.platform_login, &self.accounts.bot_login] {
            self.fault(
                repository,
                Target::PullReads,
                Effect::Fail { status: 502 },
                Some(login),
            );
        }
    }

    /// The platform's reads of labels get no answer until released.
    pub fn hold_label_reads(&self, repository: &str) {
        self.fault(
            repository,
            Target::LabelReads,
            Effect::Hold,
            Some(&self.accounts.platform_login),
        );
    }

    /// Ends the faults of the repository.
    pub fn release(&self, repository: &str) {
        let faults = self
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(repository)
            .unwrap_or_default();
        for (id, _) in faults {
            self.handle.release_fault(id);
        }
    }

    /// How often a comment was created and edited, from the journal.
    #[must_use]
    pub fn comment_writes(&self, repository: &str, comment: u64) -> (usize, usize) {
        let id = format!("/issues/comments/{comment}");
        let entries = self.handle.journal(|entry| {
            entry.repository.as_deref() == Some(repository)
                && entry.method.is_some()
                && entry.status.is_some_and(|status| status < 300)
        });
        let edited = entries
            .iter()
            .filter(|entry| {
                entry.method.as_deref() == Some("PATCH")
                    && entry
                        .path
                        .as_deref()
                        .is_some_and(|path| path.ends_with(&id))
            })
            .count();
        let created = self
            .handle
            .journal(|entry| {
                entry.repository.as_deref() == Some(repository)
                    && entry.event.as_deref() == Some("comment_created")
                    && entry
                        .detail
                        .as_ref()
                        .is_some_and(|detail| detail["comment"] == comment)
            })
            .len();
        (created, edited)
    }
}
