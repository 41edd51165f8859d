//! The sentences of the features, grouped by concept.

pub mod comments;
pub mod deliveries;
pub mod delivery_play;
pub mod events;
pub mod faults;
pub mod health;
pub mod labels;
pub mod leftovers;
pub mod namespaces;
pub mod next_steps;
pub mod null;
pub mod offered_steps;
pub mod outcome;
pub mod pull_requests;
pub mod requests;
pub mod setup;
pub mod time;
pub mod workers;
