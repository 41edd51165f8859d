//! What can be seen after a move, in the words of the reference.

use std::collections::BTreeSet;

use reference::{Place, View};
use serde_json::Value;

use super::{acting::Told, ground::Ground, settling::is_active};
use crate::place::Delivery;

const WITH_A_COMMENT: &str = " with a comment";

/// Threads whose `need:input` the platform owns.
const OWNED: &str = "SELECT jsonb_build_object('number', s.thread_number) FROM thread_states s \
     JOIN repositories r ON r.id = s.repository_id WHERE r.owner || '/' || r.name = $1 AND s.need_input_reason IS NOT NULL";

/// What is compared, in lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sight {
    pub answers: Vec<String>,
    pub comments: BTreeSet<String>,
    pub labels: BTreeSet<String>,
    pub owned: BTreeSet<String>,
    pub runs: Vec<String>,
}

impl Sight {
    /// What the reference says of a move whose deliveries are about `threads`.
    pub(super) fn expected(view: &View, threads: &[Place]) -> Self {
        let refusals = view.answers.iter().zip(threads);
        let comments = refusals.filter_map(|(answer, thread)| {
            let refused = answer.strip_suffix(WITH_A_COMMENT)?;
            let reason = refused.strip_prefix("ignored(")?.strip_suffix(')')?;
            Some(format!("{thread}: {reason}"))
        });
        let answers = view.answers.iter();
        let labels = view.labels.iter();
        Self {
            answers: answers
                .map(|answer| answer.trim_end_matches(WITH_A_COMMENT).to_owned())
                .collect(),
            comments: comments.collect(),
            labels: labels
                .map(|(thread, labels)| format!("{thread}: {}", labels.join(", ")))
                .collect(),
            owned: view.owned.clone(),
            runs: view.runs.clone(),
        }
    }
}

/// A comment on GitHub.
struct Remark {
    thread: u64,
    id: u64,
    author: String,
    body: String,
}

impl Ground {
    /// Newest comment of the repository.
    pub(super) fn last_comment(&self) -> u64 {
        let ids = self.remarks().into_iter().map(|remark| remark.id);
        ids.max().unwrap_or_default()
    }

    fn remarks(&self) -> Vec<Remark> {
        self.gate.github.handle().read(|state| {
            let repository = state.repository(&self.place.repository);
            let threads = repository
                .into_iter()
                .flat_map(|found| found.issues.values());
            let remarks = threads.flat_map(|thread| {
                let comments = thread.comments.iter();
                comments.map(move |comment| Remark {
                    thread: thread.number,
                    id: comment.id,
                    author: comment.author.clone(),
                    body: comment.body.clone(),
                })
            });
            remarks.collect()
        })
    }

    /// Reads it. `reasons` are those of L-42; `comment` is the newest comment before the move.
    pub(super) async fn look(
        &self,
        told: &[(Told, Delivery)],
        reasons: &[String],
        comment: u64,
    ) -> anyhow::Result<Sight> {
        let runs = self.runs().await?;
        let mut answers = Vec::new();
        for (_, delivery) in told {
            answers.push(self.answer(delivery, &runs).await?);
        }
        let platform = [
            self.gate.github.bot_login(),
            self.gate.github.platform_login(),
        ];
        let mut comments = BTreeSet::new();
        for remark in self.remarks() {
            let is_new = remark.id > comment && platform.contains(&remark.author);
            let named = reasons
                .iter()
                .find(|reason| is_new && remark.body.contains(reason.as_str()));
            if let Some(reason) = named {
                comments.insert(format!("{}: {reason}", self.named(remark.thread)));
            }
        }
        let database = &self.platform.database;
        let owned = database.rows(OWNED, &[&self.place.repository]).await?;
        let owned = owned.iter().filter_map(|row| row["number"].as_u64());
        Ok(Sight {
            answers,
            comments,
            labels: self.labels(),
            owned: owned.map(|number| self.named(number)).collect(),
            runs: runs
                .iter()
                .map(|run| self.line(run, &status(run)))
                .collect(),
        })
    }

    fn labels(&self) -> BTreeSet<String> {
        let labels = self.gate.github.handle().read(|state| {
            let repository = state.repository(&self.place.repository);
            let threads = repository.into_iter().flat_map(|found| {
                let numbers = found.issues.keys();
                numbers.map(|number| (*number, found.label_names(*number)))
            });
            threads.collect::<Vec<_>>()
        });
        let borne = labels.into_iter().filter(|(_, labels)| !labels.is_empty());
        borne
            .map(|(number, mut labels)| {
                labels.sort();
                format!("{}: {}", self.named(number), labels.join(", "))
            })
            .collect()
    }

    fn named(&self, number: u64) -> String {
        let thread = self.thread(number);
        thread.map_or_else(|| format!("#{number}"), |thread| thread.to_string())
    }

    async fn answer(&self, delivery: &Delivery, runs: &[Value]) -> anyhow::Result<String> {
        let stored = self.platform.database.delivery(&delivery.guid).await?;
        let stored = stored.unwrap_or_default();
        let word = |field: &str| stored[field].as_str().unwrap_or("-").to_owned();
        Ok(match word("status").as_str() {
            "ignored" => format!("ignored({})", word("reason")),
            "accepted" if stored["run_id"].is_string() => {
                let started = runs.iter().find(|run| run["id"] == stored["run_id"]);
                match started {
                    Some(run) => format!("accepted: {}", self.line(run, "active")),
                    None => "accepted: a run that is not there".to_owned(),
                }
            }
            "accepted" => "received".to_owned(),
            other => format!("{other} ({})", word("reason")),
        })
    }

    fn line(&self, run: &Value, status: &str) -> String {
        let word = |field: &str| run[field].as_str().unwrap_or("-").to_owned();
        let thread = |field: &str| run[field].as_u64().map(|number| self.named(number));
        let discussion = if run["discussion_mode"] == true {
            "discussion "
        } else {
            ""
        };
        let pull = thread("pr_number").map(|pull| format!(" {pull}"));
        format!(
            "{discussion}{} by {} from {} {} for {}{}: {status}",
            word("trigger_kind"),
            word("agent_key"),
            word("trigger_source"),
            word("trigger_label"),
            thread("issue_number").unwrap_or_default(),
            pull.unwrap_or_default(),
        )
    }
}

/// As the reference words it: only a cancelled run says why.
fn status(run: &Value) -> String {
    let status = run["status"].as_str().unwrap_or("-");
    match (is_active(run), run["finish_reason"].as_str()) {
        (true, _) => "active".to_owned(),
        (false, Some(reason)) if status == "canceled" => format!("canceled: {reason}"),
        (false, _) => status.to_owned(),
    }
}
