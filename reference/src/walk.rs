//! Draws walks: mostly what people would do next, sometimes what they should not.

use super::forge::{ISSUES, Place, UNBOUND};
use super::live;
use super::model::{Model, Run};
use super::moves::{BOT, Move, PEOPLE};
use super::random::Random;
use super::tables::{EXCLUSIVE, ROLE_LABELS, trigger_label};

/// Moves from a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Walk {
    pub seed: u64,
    pub moves: Vec<Move>,
}

impl Walk {
    /// The walk of a seed; `fresh` is a model that has seen nothing.
    pub fn of_seed(seed: u64, length: usize, fresh: &Model) -> Self {
        Self::drawn(seed, length, fresh, |_, _| true)
    }

    /// The walk of a seed for a running system: moves that such a system cannot be made to do at will are drawn anew.
    /// `fresh` is [`Model::of_a_running_system`].
    pub fn live(seed: u64, length: usize, fresh: &Model) -> Self {
        Self::drawn(seed, length, fresh, live::can_be_played)
    }

    fn drawn(
        seed: u64,
        length: usize,
        fresh: &Model,
        wanted: impl Fn(&Model, &Move) -> bool,
    ) -> Self {
        let mut model = fresh.clone();
        let mut random = Random::new(seed);
        let mut moves = Vec::with_capacity(length);
        while moves.len() < length {
            if let Some(step) = draw(&model, &mut random).filter(|step| wanted(&model, step)) {
                model.play(&step);
                moves.push(step);
            }
        }
        Self { seed, moves }
    }
}

/// None when what was drawn has no subject yet.
fn draw(model: &Model, random: &mut Random) -> Option<Move> {
    match random.below(100) {
        0..20 => run_ends(model, random),
        20..46 => stage_label(model, random),
        46..59 => label_goes(model, random),
        59..66 => state_label(model, random),
        66..71 => other_label(model, random),
        71..76 => review(model, random),
        76..79 => Some(Move::Label {
            who: anybody(random),
            at: Place::pull(pull(model, random)?),
            label: "need:reviewer".to_owned(),
        }),
        79..82 => Some(Move::Comment {
            who: anybody(random),
            at: place(model, random),
        }),
        82..85 => Some(Move::Label {
            who: anybody(random),
            at: Place::issue(issue(random)),
            label: "mode:discussion".to_owned(),
        }),
        85..87 => {
            let issue = issue(random);
            Some(Move::SetIssueOpen {
                who: anybody(random),
                issue,
                open: !model.forge.is_open(issue),
            })
        }
        87..89 => Some(Move::ClosePull {
            who: anybody(random),
            pull: pull(model, random)?,
            merged: random.percent(60),
        }),
        89..91 => Some(Move::Cancel {
            run: active(model, random, |_| true)?,
            abandon: random.percent(70),
        }),
        91..94 => next_step(model, random),
        94..96 => {
            let issue = issue(random);
            let first = wanted_stage_label(model, issue, random);
            let mut second = wanted_stage_label(model, issue, random);
            if random.percent(30) {
                second = "mode:discussion".to_owned();
            }
            Some(Move::LabelTwo {
                who: anybody(random),
                issue,
                labels: [first, second],
            })
        }
        96 => switch(model, random),
        97 => Some(Move::Push {
            pull: pull(model, random)?,
        }),
        98 => Some(Move::TellAgain {
            who: anybody(random),
            pull: pull(model, random)?,
        }),
        _ => Some(Move::Label {
            who: anybody(random),
            at: Place::issue(UNBOUND),
            label: "run:dev".to_owned(),
        }),
    }
}

fn anybody(random: &mut Random) -> String {
    let person = match random.below(100) {
        0..50 => &PEOPLE[0],
        50..82 => &PEOPLE[1],
        _ => random.pick(&PEOPLE).expect("there are people"),
    };
    person.login.to_owned()
}

fn issue(random: &mut Random) -> i64 {
    ISSUES[usize::from(random.percent(30))]
}

fn pull(model: &Model, random: &mut Random) -> Option<i64> {
    let pulls: Vec<i64> = model.forge.pulls.keys().copied().collect();
    // The newest is the one that people look at.
    match random.percent(70) {
        true => pulls.last().copied(),
        false => random.pick(&pulls).copied(),
    }
}

fn place(model: &Model, random: &mut Random) -> Place {
    let number = pull(model, random).filter(|_| random.percent(40));
    number.map_or_else(|| Place::issue(issue(random)), Place::pull)
}

fn active(model: &Model, random: &mut Random, which: impl Fn(&Run) -> bool) -> Option<usize> {
    let runs = (1..).zip(&model.runs);
    let numbers: Vec<usize> = runs
        .filter(|(_, run)| run.is_active() && !run.discussion && which(run))
        .map(|(number, _)| number)
        .collect();
    random.pick(&numbers).copied()
}

fn run_ends(model: &Model, random: &mut Random) -> Option<Move> {
    let how = if random.percent(85) {
        "succeeded"
    } else {
        "failed"
    };
    Some(Move::End {
        run: active(model, random, |_| true)?,
        how: how.to_owned(),
        makes_pull: random.percent(80),
    })
}

/// A label that fits what the Issue has behind it, or any.
fn wanted_stage_label(model: &Model, issue: i64, random: &mut Random) -> String {
    let any = model.tables.trigger_labels();
    let mut wanted = match model.current_stage(issue) {
        None => vec![
            trigger_label("intake", false),
            trigger_label("plan", false),
            trigger_label("dev", false),
            trigger_label("dev", false),
        ],
        Some(current) => {
            let stage = model.tables.stage(current);
            let targets = stage.targets.iter();
            let mut labels: Vec<String> =
                targets.map(|target| trigger_label(target, false)).collect();
            labels.push(trigger_label(current, false));
            labels.push(trigger_label(current, stage.revise));
            labels
        }
    };
    wanted.push(trigger_label("rethink", false));
    let from = if random.percent(70) { &wanted } else { &any };
    random.pick(from).expect("there are labels").clone()
}

fn stage_label(model: &Model, random: &mut Random) -> Option<Move> {
    let issue = issue(random);
    let mut label = wanted_stage_label(model, issue, random);
    if random.percent(4) {
        label = label.to_uppercase();
    }
    let on_pull = pull(model, random).filter(|_| random.percent(12));
    let at = Place::issue(issue);
    let left = model.forge.labels(&at).iter();
    let left: Vec<&String> = left
        .filter(|label| model.tables.trigger(label).is_some())
        .collect();
    if let Some(left) = left.first().filter(|_| random.percent(70)) {
        // A refused label stays and would stand against every other one (L-42).
        return Some(Move::Unlabel {
            who: anybody(random),
            at,
            label: (*left).clone(),
        });
    }
    Some(Move::Label {
        who: anybody(random),
        at: on_pull.map_or_else(|| Place::issue(issue), Place::pull),
        label,
    })
}

/// What is in the way goes first.
fn label_goes(model: &Model, random: &mut Random) -> Option<Move> {
    let at = place(model, random);
    let labels: Vec<String> = model.forge.labels(&at).to_vec();
    let stuck: Vec<String> = labels
        .iter()
        .filter(|label| !["state:in-review", "state:approved"].contains(&label.as_str()))
        .cloned()
        .collect();
    let from = if random.percent(85) { &stuck } else { &labels };
    Some(Move::Unlabel {
        who: anybody(random),
        label: random.pick(from)?.clone(),
        at,
    })
}

fn state_label(model: &Model, random: &mut Random) -> Option<Move> {
    let label = match random.below(100) {
        0..55 => "state:approved",
        55..70 => "state:blocked",
        _ => random.pick(&EXCLUSIVE).copied()?,
    };
    Some(Move::Label {
        who: anybody(random),
        at: place(model, random),
        label: label.to_owned(),
    })
}

fn other_label(model: &Model, random: &mut Random) -> Option<Move> {
    let label = match random.below(100) {
        0..35 => "need:input",
        35..75 => random.pick(&ROLE_LABELS).copied()?,
        _ => random
            .pick(&["run:debug", "bug", "run:foo", "[ai-model-gpt-5.4]"])
            .copied()?,
    };
    Some(Move::Label {
        who: anybody(random),
        at: place(model, random),
        label: label.to_owned(),
    })
}

fn review(model: &Model, random: &mut Random) -> Option<Move> {
    let state = match random.below(100) {
        0..55 => "changes_requested",
        55..80 => "approved",
        _ => "commented",
    };
    Some(Move::Review {
        who: anybody(random),
        pull: pull(model, random)?,
        state: state.to_owned(),
    })
}

/// Mostly a next step; sometimes the bot sets the label of a grant once more, or just any, by itself.
fn next_step(model: &Model, random: &mut Random) -> Option<Move> {
    let issue = issue(random);
    let label = wanted_stage_label(model, issue, random);
    if random.percent(70) {
        return Some(Move::NextStep {
            who: anybody(random),
            issue,
            label,
        });
    }
    Some(Move::Label {
        who: BOT.to_owned(),
        at: Place::issue(issue),
        label,
    })
}

fn switch(model: &Model, random: &mut Random) -> Option<Move> {
    // What is broken is mended soon, else nothing else would happen.
    if model.preflight_failed {
        return Some(Move::Switch {
            what: "preflight".to_owned(),
            bad: false,
        });
    }
    if let Some(agent) = model.agents_off.first() {
        return Some(Move::Switch {
            what: format!("agent:{agent}"),
            bad: false,
        });
    }
    let what = random.pick(&["preflight", "agent:dev", "agent:em", "agent:reviewer"])?;
    Some(Move::Switch {
        what: (*what).to_owned(),
        bad: true,
    })
}
