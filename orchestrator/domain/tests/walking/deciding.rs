//! A delivery: decided, held against the laws of one decision, and taken over into the world.

use domain::decide::{Consequences, Decision, Outcome, Undecided, decide};
use domain::effects::Effect;
use domain::events::{self, Event};
use domain::ids::{DeliveryId, RunId};
use domain::snapshot::{Grant, SenderFacts, Snapshot};
use serde_json::Value;

use super::facts::place_of;
use super::world::{World, line, moment, uuid};
use reference::BOT;

impl World<'_> {
    pub(super) fn deliver(&mut self, event_type: &str, mut payload: Value, recorded: bool) {
        (self.mutation.payload)(&mut payload);
        let again = if self.decide_twice {
            let (_, first) = self.decided(event_type, payload.clone(), recorded);
            self.deliveries -= 1;
            first.consequences.effects
        } else {
            Vec::new()
        };
        let (event, mut decision) = self.decided(event_type, payload, recorded);
        (self.mutation.decision)(self, &event, &mut decision);
        self.check(&event, &decision);
        if let Outcome::Accepted(run) = &decision.outcome {
            let known = self
                .runs
                .iter()
                .position(|known| known.correlation_id == run.correlation_id);
            if let Some(position) = known {
                // The delivery joins the run and leads to nothing else (L-25).
                let line = format!("duplicate of run {}", position + 1);
                return self.answers.push(line);
            }
            let facts = self.facts_of(run);
            self.answers
                .push(format!("accepted: {}", line(&facts, None)));
            self.runs.push(facts);
        } else {
            self.answers.push(self.answer(&decision));
        }
        self.apply(decision.consequences);
        self.perform(again);
    }

    fn answer(&self, decision: &Decision) -> String {
        let comments = comments_of(&decision.consequences);
        match &decision.outcome {
            Outcome::Ignored(ignored) => {
                let reason = ignored.reason.to_string();
                let told = comments.iter().any(|body| body.contains(&reason));
                let with = if told { " with a comment" } else { "" };
                format!("ignored({reason}){with}")
            }
            _ => "received".to_owned(),
        }
    }

    /// One outcome with one reason and one event, at most one refusal, and never a run of a bot.
    fn check(&mut self, event: &Event, decision: &Decision) {
        let types: Vec<&str> = decision
            .consequences
            .audit
            .iter()
            .map(|record| record.event_type())
            .collect();
        let count = |wanted: &str| types.iter().filter(|found| **found == wanted).count();
        let told = (
            count("webhook.ignored"),
            count("webhook.received"),
            count("run.enqueued"),
        );
        let expected = match &decision.outcome {
            Outcome::Ignored(_) => (1, 0, 0),
            Outcome::Accepted(_) => (0, 1, 1),
            Outcome::Received => (0, 1, 0),
        };
        // What a seeded error changes in the outcome has no events of its own.
        if told != expected && self.mutation.name.is_empty() {
            self.broken
                .push(format!("{told:?} events for {expected:?}"));
        }
        if comments_of(&decision.consequences).len() > 1 {
            self.broken.push("two comments for one delivery".to_owned());
        }
        let bot = event.sender_login() == BOT || event.sender_login().ends_with("[bot]");
        let granted = decision.consequences.consumed_grant.is_some();
        if bot && !granted && decision.outcome.new_run().is_some() {
            self.broken
                .push("a bot caused a run without a grant".to_owned());
        }
    }

    pub(super) fn decided(
        &mut self,
        event_type: &str,
        payload: Value,
        recorded: bool,
    ) -> (Event, Decision) {
        self.deliveries += 1;
        let id = DeliveryId::from(format!("delivery-{}", self.deliveries).as_str());
        let event = events::parse(id, event_type, payload, moment(self.forge.tick));
        let bound = event
            .repository
            .as_ref()
            .is_some_and(|found| found.id == 77);
        let mut snapshot = Snapshot::new(
            bound.then(|| self.binding.clone()),
            SenderFacts {
                user: self.user(event.sender_login()),
            },
            RunId(uuid(1_000 + self.deliveries)),
        );
        snapshot.label_change_already_recorded = recorded;
        if let (true, Some(thread), Some(label)) = (bound, event.thread(), event.label()) {
            let key = (place_of(&thread), self.policy.labels.canonical(label));
            snapshot.grant = self.grants.get(&key).map(|who| Grant {
                user: self.user(who).expect("a grant is a user's"),
                request_id: None,
            });
        }
        for _ in 0..60 {
            match decide(&snapshot, &event, &self.policy, moment(self.forge.tick)) {
                Ok(decision) => return (event, decision),
                Err(Undecided::Missing(reads)) => {
                    for read in reads {
                        let mut fact = self.fact(&read);
                        (self.mutation.fact)(&read, &mut fact);
                        snapshot.facts.insert(read, fact);
                    }
                }
                Err(other) => panic!("everything is readable here: {other}"),
            }
        }
        panic!("the decision asks for facts without end");
    }
}

/// Comments that a person reads; the status comment of a run is none of them.
pub(super) fn comments_of(consequences: &Consequences) -> Vec<&str> {
    let effects = consequences.effects.iter();
    effects
        .filter_map(|planned| match &planned.effect {
            Effect::CreateComment { body, .. } => Some(body.as_str()),
            _ => None,
        })
        .collect()
}
