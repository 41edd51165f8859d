//! A walk from its first move to its last, or to the first after which the two disagree.

use reference::{Model, Move, Place, Walk};

use super::{
    comparing::{Compared, compare},
    ground::Ground,
    reading::Sight,
};
use crate::{place::mark, world::text};

/// A walk, where it plays, and what was compared.
pub struct Played {
    ground: Ground,
    walk: Walk,
    compared: Vec<Compared>,
    /// What kept a move from being made or from coming to rest.
    stopped: Option<String>,
}

impl Played {
    #[must_use]
    pub fn new(ground: Ground, walk: Walk) -> Self {
        Self {
            ground,
            walk,
            compared: Vec::new(),
            stopped: None,
        }
    }

    #[must_use]
    pub fn compared(&self) -> &[Compared] {
        &self.compared
    }

    #[must_use]
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Ids of the runs that people, bots and staff started.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn runs(&self) -> anyhow::Result<Vec<String>> {
        let runs = self.ground.runs().await?;
        runs.iter().map(|run| text(run, "id")).collect()
    }

    /// Plays until the last move, or until something is not as the reference says: what follows would mean nothing.
    pub async fn play(&mut self) {
        let mut model = Model::of_a_running_system();
        let moves = self.walk.moves.clone();
        for (number, step) in (1..).zip(&moves) {
            let subject = self.subject(number, step);
            match self.play_one(&mut model, step, &subject).await {
                Ok(compared) => {
                    let agrees = compared.iter().all(|one| one.expected == one.seen);
                    self.compared.extend(compared);
                    if !agrees {
                        let before = self.so_far(number);
                        if let Some(one) = self
                            .compared
                            .iter_mut()
                            .find(|one| one.expected != one.seen)
                        {
                            one.subject.push_str(&before);
                        }
                        return;
                    }
                }
                Err(error) => {
                    let before = self.so_far(number);
                    self.stopped = Some(format!("{subject}{before}: {error:#}"));
                    return;
                }
            }
        }
    }

    fn subject(&self, number: usize, step: &Move) -> String {
        format!("move {number} of walk {} ({step})", self.walk.seed)
    }

    /// The moves before, for a person who wants to walk there.
    fn so_far(&self, number: usize) -> String {
        if number == 1 {
            return String::new();
        }
        let before = (1..number).zip(&self.walk.moves);
        let before: Vec<String> = before
            .map(|(number, step)| format!("{number}. {step}"))
            .collect();
        format!("; before it: {}", before.join(", "))
    }

    async fn play_one(
        &self,
        model: &mut Model,
        step: &Move,
        subject: &str,
    ) -> anyhow::Result<Vec<Compared>> {
        let ground = &self.ground;
        if needs_a_second_of_its_own(step) {
            ground.next_second().await?;
        }
        let runs = ground.runs().await?;
        let comment = ground.last_comment();
        let before = mark(&ground.gate, &ground.place.repository);
        let view = model.play(step);
        let changes = !view.answers.is_empty();
        let mut told = Vec::new();
        for one in ground.act(step, &runs, changes).await? {
            let delivery = ground.delivery_of(&one, before).await?;
            told.push((one, delivery));
        }
        let settled = ground.settle(&model.runs).await;
        let reasons = reasons(model);
        let seen = ground.look(&told, &reasons, comment).await?;
        let threads: Vec<Place> = told.iter().map(|(one, _)| one.thread.clone()).collect();
        let expected = Sight::expected(&view, &threads);
        if expected == seen {
            settled?;
        }
        Ok(compare(step, &view, subject, &expected, &seen))
    }
}

/// GitHub tells time in seconds: a comment counts as evidence from the second of a label on (L-86), whichever of the
/// two came first in it, and two labels `need:reviewer` in one second are one (L-88).
fn needs_a_second_of_its_own(step: &Move) -> bool {
    match step {
        Move::Comment { .. } | Move::Review { .. } => true,
        Move::Label { label, .. } => label.starts_with("need:"),
        _ => false,
    }
}

/// The reasons of L-42 as a comment spells them; those of a sender are one row there.
fn reasons(model: &Model) -> Vec<String> {
    let listed = model.tables.reactions.keys();
    let mut reasons: Vec<String> = listed
        .filter(|reason| *reason != "sender")
        .cloned()
        .collect();
    for rest in [
        "not_allowed",
        "not_project_member",
        "role_read_not_permitted",
        "type_bot_not_permitted",
    ] {
        reasons.push(format!("sender_{rest}"));
    }
    reasons
}
