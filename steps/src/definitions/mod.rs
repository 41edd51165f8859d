//! The sentences of the features, grouped by concept.

pub mod comments;
pub mod configuration;
pub mod deliveries;
pub mod delivery_play;
pub mod discussions;
pub mod events;
pub mod faults;
pub mod health;
pub mod labels;
pub mod leftovers;
pub mod namespaces;
pub mod needs;
pub mod null;
pub mod outcome;
pub mod people;
pub mod pull_requests;
pub mod requests;
pub mod revise;
pub mod setup;
pub mod special_runs;
pub mod stages;
pub mod states;
pub mod time;
pub mod workers;
