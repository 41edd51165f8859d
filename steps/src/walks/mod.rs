//! Walks of the reference against the running system (ST-14): people and agents do on GitHub's stand-in and at the
//! staff API what a seed drew, one move after the other, and after each what can be seen is held beside what the
//! reference says.
//!
//! Between two moves the platform comes to rest: every delivery is decided, every effect done, and a run that must have
//! ended has ended. Nothing waits for time but for the next whole second of GitHub's clock, where GitHub's times order
//! what happened.

mod acting;
mod comparing;
mod ground;
mod playing;
mod reading;
mod settling;

pub use comparing::{Compared, Kind};
pub use ground::Ground;
pub use playing::Played;
