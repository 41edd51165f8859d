//! One move, as the people and agents of a walk do it.

use anyhow::{Context, ensure};
use reference::{Move, Place};
use reqwest::Method;
use serde_json::{Value, json};

use super::ground::Ground;
use crate::{place::Delivery, world::text};

/// A delivery that a move must cause.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub event: &'static str,
    pub action: &'static str,
    pub thread: Place,
    pub number: u64,
    pub label: Option<String>,
    pub sender: String,
}

impl Told {
    pub(super) fn is(&self, delivery: &Delivery) -> bool {
        let payload = &delivery.payload;
        let key = match self.event {
            "issues" | "issue_comment" => "issue",
            _ => "pull_request",
        };
        let label = payload["label"]["name"].as_str().map(str::to_lowercase);
        delivery.event == self.event
            && delivery.action == self.action
            && payload[key]["number"] == self.number
            && payload["sender"]["login"] == self.sender.as_str()
            && (self.label.is_none() || self.label == label)
    }
}

impl Ground {
    /// Does it. `runs` are the runs of the walk so far, oldest first, and `changes` says whether the reference sees
    /// anything come of it.
    ///
    /// # Errors
    /// When GitHub's stand-in or the staff API refuses what it must not.
    pub(super) async fn act(
        &self,
        step: &Move,
        runs: &[Value],
        changes: bool,
    ) -> anyhow::Result<Vec<Told>> {
        let repository = &self.place.repository;
        match step {
            Move::Label { who, at, label } => {
                let number = self.number(at)?;
                let person = self.person(who)?;
                person.add_labels(repository, number, &[label]).await?;
                self.told_of_label(step, at, "labeled", &[label])
            }
            Move::LabelTwo { who, issue, labels } => {
                let at = Place::issue(*issue);
                let number = self.number(&at)?;
                let person = self.person(who)?;
                let borne = person.labels(repository, number).await?;
                let [first, second] = labels;
                person
                    .add_labels(repository, number, &[first, second])
                    .await?;
                let mut news = vec![first.as_str(), second];
                news.retain(|label| !borne.iter().any(|name| name.eq_ignore_ascii_case(label)));
                self.told_of_label(step, &at, "labeled", &news)
            }
            Move::Unlabel { who, at, label } => {
                let number = self.number(at)?;
                let person = self.person(who)?;
                person.remove_label(repository, number, label).await?;
                self.told_of_label(step, at, "unlabeled", &[label])
            }
            Move::Comment { who, at } => {
                let number = self.number(at)?;
                let person = self.person(who)?;
                person.comment(repository, number, "A word.").await?;
                self.told(step, "issue_comment", "created", at)
            }
            Move::Review { who, pull, state } => {
                let at = Place::pull(*pull);
                let verdict = match state.as_str() {
                    "changes_requested" => "REQUEST_CHANGES",
                    "approved" => "APPROVE",
                    _ => "COMMENT",
                };
                let person = self.person(who)?;
                person
                    .review(repository, self.number(&at)?, verdict, "What I think.")
                    .await?;
                self.told(step, "pull_request_review", "submitted", &at)
            }
            Move::SetIssueOpen { who, issue, open } => {
                let at = Place::issue(*issue);
                let (state, action) = match open {
                    true => ("open", "reopened"),
                    false => ("closed", "closed"),
                };
                let person = self.person(who)?;
                person
                    .edit_issue(repository, self.number(&at)?, json!({"state": state}))
                    .await?;
                self.told(step, "issues", action, &at)
            }
            Move::ClosePull { who, pull, merged } => {
                let at = Place::pull(*pull);
                let (person, number) = (self.person(who)?, self.number(&at)?);
                if *merged {
                    person.merge(repository, number).await?;
                } else {
                    let closed = json!({"state": "closed"});
                    person.edit_issue(repository, number, closed).await?;
                }
                self.told(step, "pull_request", "closed", &at)
            }
            Move::Push { pull } => {
                let number = self.number(&Place::pull(*pull))?;
                let found = self.place.member.pull_request(repository, number).await?;
                let branch = found["head"]["ref"]
                    .as_str()
                    .context("a pull request has a head")?;
                let path = format!("notes/{}.md", uuid::Uuid::new_v4());
                // "bm90ZQo=" is "note\n": the contents API takes base64.
                self.place
                    .member
                    .put_file(repository, branch, &path, "bm90ZQo=")
                    .await?;
                Ok(Vec::new())
            }
            Move::End {
                run,
                how,
                makes_pull,
            } => {
                let run = run_of(runs, *run)?;
                let id = text(run, "id")?;
                let has_pull = run["pr_number"].is_number();
                let reviews = run["trigger_source"] == "pull_request_label";
                let script = if how != "succeeded" {
                    "exit 3\n".to_owned()
                } else if *makes_pull && !has_pull && !reviews {
                    format!("mkdir -p docs && echo done > docs/{id}.md\n")
                } else {
                    "exit 0\n".to_owned()
                };
                self.tell(&id, &script)?;
                Ok(Vec::new())
            }
            Move::Cancel { run, abandon } => {
                let id = text(run_of(runs, *run)?, "id")?;
                let (status, answer) = self.platform.staff.cancel(&id, *abandon).await?;
                ensure!(
                    status.is_success(),
                    "staff cannot cancel run {run}: {status} {answer}"
                );
                Ok(Vec::new())
            }
            Move::NextStep { who, issue, label } => {
                self.take_step(step, who, &Place::issue(*issue), label, changes)
                    .await
            }
            Move::TellAgain { .. } | Move::Switch { .. } => {
                anyhow::bail!("no running system can be made to: {step}")
            }
        }
    }

    async fn take_step(
        &self,
        step: &Move,
        who: &str,
        at: &Place,
        label: &str,
        changes: bool,
    ) -> anyhow::Result<Vec<Told>> {
        let request = json!({
            "repository_full_name": self.place.repository, "action_kind": "issue_stage_transition",
            "target_label": label, "issue_number": self.number(at)?,
        });
        let path = "/staff/github/next-step-actions/execute";
        let staff = self.staff_of(who)?;
        let (status, answer) = staff.call(Method::POST, path, Some(request)).await?;
        ensure!(
            status.is_success() == changes,
            "the next step was answered with {status}: {answer}"
        );
        if !changes {
            return Ok(Vec::new());
        }
        let mut told = self.told_of_label(step, at, "labeled", &[label])?;
        for told in &mut told {
            told.sender = self.gate.github.bot_login();
        }
        Ok(told)
    }

    fn told(
        &self,
        step: &Move,
        event: &'static str,
        action: &'static str,
        at: &Place,
    ) -> anyhow::Result<Vec<Told>> {
        let who = step.who().context("somebody does it")?;
        Ok(vec![Told {
            event,
            action,
            thread: at.clone(),
            number: self.number(at)?,
            label: None,
            sender: self.person(who)?.login.clone(),
        }])
    }

    fn told_of_label(
        &self,
        step: &Move,
        at: &Place,
        action: &'static str,
        labels: &[&str],
    ) -> anyhow::Result<Vec<Told>> {
        let event = if at.is_issue() {
            "issues"
        } else {
            "pull_request"
        };
        let one = self.told(step, event, action, at)?;
        let with = |label: &&str| Told {
            label: Some(label.to_lowercase()),
            ..one[0].clone()
        };
        Ok(labels.iter().map(with).collect())
    }
}

fn run_of(runs: &[Value], number: usize) -> anyhow::Result<&Value> {
    let position = number.checked_sub(1).context("runs are counted from 1")?;
    runs.get(position)
        .with_context(|| format!("the platform has no run {number}"))
}
