//! The bundle of a run (gate.md 6): written from its journals, checked by making it again.
mod archive;
mod baseline;
mod brief;
mod commands;
mod derive;
mod junit;
mod manifest;
mod traceability;
mod verify;
mod write;

pub use baseline::baseline;
pub use manifest::{FileEntry, Manifest, of_folder as manifest};
pub use verify::{Problem, VerifyError, verify};
pub use write::{BundleError, Written, write, write_interrupted};
