//! The delivery algebra (E-45): what GitHub does to webhooks on their way (lose, repeat, reorder, delay), and whether
//! the world looks the same in the end.
//!
//! Pure functions of journals: which plays there are, which of them a seed chooses, whether a transform came about,
//! and what two end states tell of each other. Playing is the gate's part.
mod cell;
mod delivery;
mod end_state;
mod judge;
mod sweep;
mod transform;
mod words;

pub use cell::{Cell, cells, choose, sample};
pub use delivery::{JournaledDelivery, Sent, journaled};
pub use end_state::{EndState, Head, Refusal, RunEnd, Thread};
pub use judge::{Comparison, compare};
pub use sweep::{JudgedCell, Played, Result, ScenarioBase, Sweep, SweptScenarios, judge};
pub use transform::{Attempt, Transform, TransformKind, came_about};
pub use words::plain;
