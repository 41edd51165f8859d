//! One file per command.

pub mod cleanup;
pub mod crash_sweep;
pub mod delivery_sweep;
pub mod doctor;
pub mod down;
pub mod manual;
pub mod plan;
pub mod run;
pub mod selfcheck;
pub mod stand_in;
pub mod status;
mod target;
pub mod up;
pub mod verify;
