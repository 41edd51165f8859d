//! The crash matrix (E-44): at which persisted transition a process was killed, what the platform was at, and whether
//! the next process brought everything to the end that it would have had.
//!
//! Pure functions of what plays left; playing is the gate's part.
mod judge;
mod point;
mod sweep;
mod table;

pub use judge::{DeathPlay, judge};
pub use point::{CrashPoint, Reached, choose, points};
pub use sweep::{CellResult, CrashCell, CrashSweep, Takeover};
pub use table::{matrix_html, matrix_table, matrix_text};
