//! A play in which one process of the platform dies at a persisted transition (E-44).
//!
//! The play has a platform of its own, built with failpoints. From the first `When` on its processes tell which points
//! they reach; the one that is armed kills. Then the gate does what a cluster would: it starts what must run again,
//! lets the dead owner's leases end by moving the clock, and looks whether the world comes to the same end.
mod deadly;
mod oracle;

pub(crate) use deadly::{Deadly, arm, begin, circumstances, finish, has_recovered_meanwhile};
pub use deadly::{Death, DeathTaken};
