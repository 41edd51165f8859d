//! What GitHub tells the platform: payloads rendered from the threads as they are.

use serde_json::{Value, json};

use super::world::{REPOSITORY, UNBOUND, World, moment};
use reference::{BOT, Place, Pull, person};

/// One label change on GitHub.
pub(super) struct Change<'a> {
    pub who: &'a str,
    pub at: &'a Place,
    pub label: &'a str,
    pub added: bool,
    pub labels: &'a [String],
    pub recorded: bool,
}

pub(super) fn account(login: &str) -> Value {
    let found = person(login);
    json!({"id": 10 + login.len(), "login": login, "type": found.account})
}

pub(super) fn head(pull: &Pull) -> String {
    format!("{:0>40}", pull.head)
}

impl World<'_> {
    pub(super) fn tell_label(
        &mut self,
        who: &str,
        at: &Place,
        label: &str,
        added: bool,
        recorded: bool,
    ) {
        let labels = self.forge.labels(at).to_vec();
        self.tell(&Change {
            who,
            at,
            label,
            added,
            labels: &labels,
            recorded,
        });
    }

    pub(super) fn tell(&mut self, change: &Change<'_>) {
        let (event_type, payload) = self.label_payload(change);
        self.deliver(event_type, payload, change.recorded);
    }

    pub(super) fn label_payload(&self, change: &Change<'_>) -> (&'static str, Value) {
        let action = if change.added { "labeled" } else { "unlabeled" };
        let mut payload = self.payload(action, change.who, change.at);
        payload["label"] = json!({"name": change.label});
        let (event_type, key) = if change.at.is_issue() {
            ("issues", "issue")
        } else {
            ("pull_request", "pull_request")
        };
        let names = change.labels.iter().map(|name| json!({"name": name}));
        payload[key]["labels"] = names.collect();
        (event_type, payload)
    }

    pub(super) fn payload(&self, action: &str, who: &str, at: &Place) -> Value {
        let repository = if at.number == UNBOUND { 78 } else { 77 };
        let mut payload = json!({
            "action": action,
            "sender": account(who),
            "repository": {"id": repository, "full_name": REPOSITORY, "name": "shop", "default_branch": "main"},
        });
        if at.is_issue() {
            payload["issue"] = self.issue(at.number);
        } else {
            payload["pull_request"] = self.pull(at.number);
        }
        payload
    }

    pub(super) fn names(&self, at: &Place) -> Value {
        let labels = self.forge.labels(at).iter();
        labels.map(|name| json!({"name": name})).collect()
    }

    pub(super) fn issue(&self, number: i64) -> Value {
        let open = self.forge.is_open(number);
        json!({
            "id": 500 + number, "number": number, "title": "Work", "html_url": "",
            "state": if open { "open" } else { "closed" }, "user": account("alice"),
            "labels": self.names(&Place::issue(number)),
        })
    }

    pub(super) fn pull(&self, number: i64) -> Value {
        let Some(pull) = self.forge.pulls.get(&number) else {
            return Value::Null;
        };
        json!({
            "id": 900 + number, "number": number, "title": "Change", "html_url": "",
            "state": if pull.open { "open" } else { "closed" }, "merged": pull.merged,
            "head": {"ref": pull.branch, "sha": head(pull), "repo": {"full_name": REPOSITORY}},
            "base": {"ref": "main"}, "user": account(BOT),
            "labels": self.names(&Place::pull(number)),
            "updated_at": moment(pull.touched).to_rfc3339(),
        })
    }

    /// GitHub tells a comment on a pull request as one on the Issue of the same number.
    pub(super) fn comment_on_pull(&self, at: &Place) -> Value {
        let pull = self.pull(at.number);
        json!({
            "id": 1, "number": at.number, "title": "", "html_url": "", "state": pull["state"],
            "user": pull["user"], "labels": pull["labels"], "pull_request": {"url": ""},
        })
    }
}
