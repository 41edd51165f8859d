//! The conservation ledger (E-20): what a run creates is deleted, or kept with a named reason.
//! Booked from journals, never from a listing at the end, so that what vanished in between counts too.
mod book;
mod entry;
mod github;
mod kubernetes;
mod postgres;

pub use book::{Ledger, compute};
pub use entry::{Account, Entry, KindTotals};
