//! What the loader would find: users, histories, live labels.

use chrono::{DateTime, Utc};
use domain::events::{self, Review, Thread, ThreadKind};
use domain::ids::UserId;
use domain::snapshot::{Fact, Read, RunFacts, UserFacts, WebhookRuntime};

use super::telling::account;
use super::world::{World, moment, uuid};
use reference::{Place, person};

pub(super) fn place_of(thread: &Thread) -> Place {
    match thread.kind {
        ThreadKind::Issue => Place::issue(thread.number),
        ThreadKind::PullRequest => Place::pull(thread.number),
    }
}

fn review_of((login, state, head): &(String, String, u64)) -> Review {
    let user = serde_json::from_value(account(login)).expect("an account");
    Review {
        state: state.clone(),
        commit_id: format!("{head:0>40}"),
        user,
        ..Review::default()
    }
}

impl World<'_> {
    pub(super) fn user(&self, login: &str) -> Option<UserFacts> {
        if login.is_empty() || !person(login).known {
            return None;
        }
        let found = person(login);
        let mut user = UserFacts {
            id: UserId(uuid(200 + login.len())),
            login: login.to_owned(),
            is_platform_owner: found.owner,
            is_platform_admin: false,
            project_role: found.role.map(str::to_owned),
        };
        (self.mutation.user)(&mut user);
        Some(user)
    }

    pub(super) fn fact(&self, read: &Read) -> Fact {
        let history = |keep: &dyn Fn(&RunFacts) -> bool| {
            let runs = self.runs.iter().rev().filter(|run| keep(run));
            Fact::History(runs.cloned().collect())
        };
        let state = |place: Place| self.states.get(&place).cloned().unwrap_or_default();
        let labels = |place: Place| Fact::Labels(self.forge.labels(&place).to_vec());
        let evidence = |place: Place, since: &DateTime<Utc>| {
            let tick = u64::try_from((*since - moment(0)).num_seconds()).expect("since the start");
            let count = self.forge.evidence_since(&place, tick);
            Fact::Evidence(u32::try_from(count).expect("a walk is short"))
        };
        match read {
            Read::IssueHistory(number) => history(&|run| run.issue_number == Some(*number)),
            Read::PullRequestHistory(number) => history(&|run| run.pr_number == Some(*number)),
            Read::IssueState(number) => Fact::State(state(Place::issue(*number))),
            Read::PullRequestState(number) => Fact::State(state(Place::pull(*number))),
            Read::Issue(number) => Fact::Issue(Some(events::issue_from(&self.issue(*number)))),
            Read::IssueLabels(number) => labels(Place::issue(*number)),
            Read::PullRequest(number) => {
                let found = self.forge.pulls.contains_key(number);
                let pull = found.then(|| events::pull_request_from(&self.pull(*number)));
                Fact::PullRequest(pull)
            }
            Read::PullRequestLabels(number) => labels(Place::pull(*number)),
            Read::PullRequestReviews(number) => {
                let pull = self.forge.pulls.get(number);
                let reviews = pull.map_or(&[][..], |pull| &pull.reviews);
                Fact::Reviews(reviews.iter().map(review_of).collect())
            }
            Read::IssueEvidenceSince(number, since) => evidence(Place::issue(*number), since),
            Read::PullRequestEvidenceSince(number, since) => evidence(Place::pull(*number), since),
            Read::WebhookRuntime => Fact::WebhookRuntime(WebhookRuntime::default()),
        }
    }
}
