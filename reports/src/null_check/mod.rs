//! The null check (E-40): which scenarios stay green although the orchestrator does nothing.
//!
//! A pure function of a healthy run and of three runs against null orchestrators, so that it can be tested with data
//! and repeated on stored journals.
mod draw;
mod judge;
mod outcome;
#[cfg(test)]
mod tests;

pub use draw::Draw;
pub use judge::{Cell, Finding, NullCheck, Problem, Row, judge};
pub use outcome::{Ended, end_of};

use serde::{Deserialize, Serialize};

/// A null orchestrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Null {
    /// Answers every request with success and does nothing.
    A,
    /// Works up to the decision, which yields no effects.
    B,
    /// Writes all rows and events but touches nothing in the world.
    C,
}

impl Null {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// Its letter in E-40.
    pub fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
        }
    }

    /// What it does, to complete "an orchestrator that …".
    pub fn does(self) -> &'static str {
        match self {
            Self::A => "answers every request and does nothing",
            Self::B => "decides nothing",
            Self::C => "writes every row and touches nothing in the world",
        }
    }
}
