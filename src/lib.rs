//! `gonogo` brings a target up, plays the features against the orchestrator as a black box, collects evidence from
//! sources that the orchestrator does not control, and answers GO or NO-GO.
//!
//! A library beside the program, so that `cargo test` plays the same scenarios through the same door.

pub mod cli;
pub mod commands;
pub mod exit_code;
pub mod gate;
pub mod output;
pub mod progress;
