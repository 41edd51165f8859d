//! Step by step comparison, and the shortest walk that still diverges.

use std::fmt::Write;

use super::mutation::Mutation;
use super::world::World;
use reference::{Model, Move, View};

/// The first move after which the two disagree, or after which the world broke a law.
#[derive(Debug)]
pub struct Divergence {
    /// Position of the move.
    pub at: usize,
    pub expected: View,
    pub seen: View,
    pub broken: Vec<String>,
}

/// Plays the moves in both.
pub fn first_divergence(moves: &[Move], fresh: &Model, mutation: &Mutation) -> Option<Divergence> {
    let mut model = fresh.clone();
    let mut world = World::new(mutation);
    for (at, step) in moves.iter().enumerate() {
        let expected = model.play(step);
        let seen = world.play(step);
        if expected != seen || !world.broken.is_empty() {
            return Some(Divergence {
                at,
                expected,
                seen,
                broken: world.broken,
            });
        }
    }
    None
}

/// The same moves without those that the divergence does not need.
pub fn shrunk(moves: &[Move], fresh: &Model, mutation: &Mutation) -> Vec<Move> {
    let mut kept = moves.to_vec();
    loop {
        let fewer = (0..kept.len()).rev().find_map(|position| {
            let mut fewer = kept.clone();
            fewer.remove(position);
            let found = first_divergence(&fewer, fresh, mutation)?;
            fewer.truncate(found.at + 1);
            Some(fewer)
        });
        match fewer {
            Some(fewer) => kept = fewer,
            None => return kept,
        }
    }
}

/// Seed, walk and both answers, for a person to see who is right.
pub fn report(seed: u64, moves: &[Move], fresh: &Model, mutation: &Mutation) -> String {
    let short = shrunk(moves, fresh, mutation);
    let mut text = format!("seed {seed}, shrunk to {} moves:\n", short.len());
    for (number, step) in (1..).zip(&short) {
        writeln!(text, "  {number:>2}. {step}").expect("a String takes text");
    }
    let found = first_divergence(&short, fresh, mutation).expect("the shrunk walk diverges");
    for law in &found.broken {
        writeln!(text, "  broken law: {law}").expect("a String takes text");
    }
    let lines = |view: &View| -> Vec<String> {
        let labels = view.labels.iter();
        let labels = labels.map(|(place, labels)| format!("{place}: {}", labels.join(", ")));
        let owned = view
            .owned
            .iter()
            .map(|place| format!("owned need:input on {place}"));
        let grants = view
            .grants
            .iter()
            .map(|grant| format!("unused grant: {grant}"));
        let answers = view
            .answers
            .iter()
            .map(|answer| format!("answer: {answer}"));
        let runs = (1..)
            .zip(&view.runs)
            .map(|(number, run)| format!("run {number}: {run}"));
        answers
            .chain(labels)
            .chain(runs)
            .chain(owned)
            .chain(grants)
            .collect()
    };
    let (expected, seen) = (lines(&found.expected), lines(&found.seen));
    for line in expected.iter().filter(|line| !seen.contains(line)) {
        writeln!(text, "  specification: {line}").expect("a String takes text");
    }
    for line in seen.iter().filter(|line| !expected.contains(line)) {
        writeln!(text, "  domain:        {line}").expect("a String takes text");
    }
    text
}
