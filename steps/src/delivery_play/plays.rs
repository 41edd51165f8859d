//! The plays of a sweep: what happens to which delivery, what is held while it does, and what each play left.
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use fixtures::github::FaultId;
use reports::{
    crash_matrix::CrashPoint,
    delivery_algebra::{EndState, JournaledDelivery, TransformKind, came_about, journaled},
};

use super::{reading, rest};
use crate::{
    crash_play::{self, DeathTaken},
    hub::Hub,
    place::Delivery,
    world::GateWorld,
};

/// A scenario that is played again.
#[derive(Clone, Debug)]
pub struct Play {
    /// Distinguishes the plays of a run.
    pub number: u32,
    /// Feature file name without suffix.
    pub feature: String,
    /// Line of the scenario, or of the example's row.
    pub line: usize,
    /// What happens in it.
    pub disturbance: Disturbance,
}

/// What happens in a play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// Nothing: it shows what to expect.
    Nothing,
    /// GitHub does this to one of its deliveries (E-45).
    Delivery(TransformKind, JournaledDelivery),
    /// It has a platform of its own with failpoints, and one process dies at this point; at none, the play shows which
    /// points there are (E-44).
    Death(Option<CrashPoint>),
}

impl fmt::Display for Disturbance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("nothing happens"),
            Self::Delivery(kind, delivery) => write!(formatter, "{kind} {delivery}"),
            Self::Death(None) => formatter.write_str("nobody dies"),
            Self::Death(Some(point)) => write!(formatter, "death at {point}"),
        }
    }
}

/// What a play left.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its deliveries, oldest first.
    pub deliveries: Vec<JournaledDelivery>,
    /// Whether the transform met a delivery.
    pub met: bool,
    /// Whether the stand-in's journal shows it.
    pub came_about: bool,
    /// The end state before a dropped delivery was asked for again.
    pub before: Option<EndState>,
    /// The end state.
    pub end: EndState,
    /// What became of the process that was to die, in a play with failpoints.
    pub death: Option<DeathTaken>,
}

/// A transform at work in a repository.
#[derive(Clone, Debug)]
struct AtWork {
    fault: FaultId,
    kind: TransformKind,
    /// The delivery that was met, once it was: its id among the stand-in's, and GitHub's.
    chosen: Option<(u64, String)>,
    released: bool,
    before: Option<EndState>,
}

/// All plays of a run, and what is known of them.
#[derive(Debug, Default)]
pub struct Plays {
    plays: BTreeMap<u32, Play>,
    at_work: Mutex<HashMap<String, AtWork>>,
    taken: Mutex<BTreeMap<u32, Taken>>,
}

impl Plays {
    #[must_use]
    pub fn new(plays: Vec<Play>) -> Self {
        Self {
            plays: plays.into_iter().map(|play| (play.number, play)).collect(),
            ..Self::default()
        }
    }

    pub(super) fn of(&self, feature: &str, line: usize) -> impl Iterator<Item = u32> {
        self.plays
            .values()
            .filter(move |play| play.feature == feature && play.line == line)
            .map(|play| play.number)
    }

    /// What happens in the play with this number.
    #[must_use]
    pub fn disturbance(&self, number: u32) -> Option<&Disturbance> {
        self.plays.get(&number).map(|play| &play.disturbance)
    }

    pub(super) fn len(&self) -> usize {
        self.plays.len()
    }

    /// What the play left; none when it broke off.
    #[must_use]
    pub fn taken(&self, number: u32) -> Option<Taken> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(&number).cloned()
    }

    fn at_work(&self, repository: &str) -> Option<AtWork> {
        let at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.get(repository).cloned()
    }

    fn note(&self, repository: &str, change: impl FnOnce(&mut AtWork)) {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = at_work.get_mut(repository) {
            change(found);
        }
    }

    /// The delivery that the transform met, if it did.
    fn chosen(&self, hub: &Hub, repository: &str) -> Option<(u64, String)> {
        let at_work = self.at_work(repository)?;
        if at_work.chosen.is_some() {
            return at_work.chosen;
        }
        let chosen = hub.met_by(repository, at_work.fault)?;
        self.note(repository, |found| found.chosen = Some(chosen.clone()));
        Some(chosen)
    }

    /// Whether nobody answers this delivery for now, since the transform keeps it: people do not wait for that.
    pub(crate) fn is_held(&self, hub: &Hub, repository: &str, delivery: &Delivery) -> bool {
        self.held(hub, repository) == Some(delivery.sequence)
    }

    /// The delivery that the transform keeps, by its id among the stand-in's.
    pub(super) fn held(&self, hub: &Hub, repository: &str) -> Option<u64> {
        let at_work = self.at_work(repository)?;
        let holds = matches!(at_work.kind, TransformKind::Swap | TransformKind::Late);
        if !holds || at_work.released {
            return None;
        }
        self.chosen(hub, repository).map(|(id, _)| id)
    }
}

/// Sets the transform of the scenario's play before its repository has a webhook.
pub(crate) fn begin(world: &GateWorld, repository: &str) -> anyhow::Result<()> {
    let Some(plays) = world.gate.plays() else {
        return Ok(());
    };
    let play = plays
        .plays
        .get(&world.key.attempt)
        .context("the play has no number")?;
    let Disturbance::Delivery(kind, delivery) = &play.disturbance else {
        return Ok(());
    };
    let fault = world
        .gate
        .github
        .transform_delivery(repository, *kind, delivery);
    let mut at_work = plays.at_work.lock().unwrap_or_else(PoisonError::into_inner);
    at_work.insert(
        repository.to_owned(),
        AtWork {
            fault,
            kind: *kind,
            chosen: None,
            released: false,
            before: None,
        },
    );
    Ok(())
}

/// Lets the delivery `guid` through when the scenario cannot go on without it: what is held goes on, what was dropped
/// is asked for again. Before that the platform does all that it does without.
pub(crate) async fn let_go(world: &mut GateWorld, guid: &str) -> anyhow::Result<()> {
    let Some(plays) = world.gate.plays() else {
        return Ok(());
    };
    let repository = world.place()?.repository;
    let is_chosen = plays
        .chosen(&world.gate.github, &repository)
        .is_some_and(|(_, chosen)| chosen == guid);
    if !is_chosen
        || plays
            .at_work(&repository)
            .is_none_or(|found| found.released)
    {
        return Ok(());
    }
    rest(world).await?;
    release(world, &plays, &repository).await
}

/// The same for the newest delivery, before a level is awaited that it may bring about.
pub(crate) async fn let_go_newest(world: &mut GateWorld) -> anyhow::Result<()> {
    match world
        .deliveries
        .last()
        .map(|delivery| delivery.guid.clone())
    {
        Some(guid) => let_go(world, &guid).await,
        None => Ok(()),
    }
}

async fn release(world: &mut GateWorld, plays: &Plays, repository: &str) -> anyhow::Result<()> {
    let hub = world.gate.github.clone();
    let Some((_, guid)) = plays.chosen(&hub, repository) else {
        return Ok(());
    };
    let Some(at_work) = plays.at_work(repository).filter(|found| !found.released) else {
        return Ok(());
    };
    let dropped = at_work.kind == TransformKind::Drop;
    let before = if dropped {
        Some(reading::end_state(world).await?)
    } else {
        None
    };
    plays.note(repository, |found| {
        found.released = true;
        found.before = before;
    });
    if dropped {
        hub.redeliver(repository, &guid)?;
    } else {
        hub.handle().release_fault(at_work.fault);
    }
    Ok(())
}

/// Waits for the end of the play and keeps what it left.
pub(crate) async fn finish(world: &mut GateWorld) -> anyhow::Result<()> {
    let plays = world
        .gate
        .plays()
        .context("the features are not played again")?;
    let repository = world.place()?.repository;
    rest(world).await?;
    if plays.at_work(&repository).is_some() {
        release(world, &plays, &repository).await?;
        rest(world).await?;
    }
    let end = reading::end_state(world).await?;
    let death = crash_play::finish(world).await?;
    let hub = &world.gate.github;
    let chosen = plays.chosen(hub, &repository);
    let at_work = plays.at_work(&repository);
    let taken = Taken {
        deliveries: journaled(
            reading::sent(hub, &repository)
                .into_iter()
                .map(|(_, sent)| sent),
        ),
        met: chosen.is_some(),
        came_about: at_work
            .as_ref()
            .zip(chosen)
            .is_some_and(|(at_work, (_, guid))| {
                came_about(at_work.kind, &guid, &hub.attempts(&repository))
            }),
        before: at_work.and_then(|found| found.before),
        end,
        death,
    };
    let mut all = plays.taken.lock().unwrap_or_else(PoisonError::into_inner);
    all.insert(world.key.attempt, taken);
    Ok(())
}
