//! The staff API under `/api/v1` (data-and-api.md 3.2): what people and the gate do to the platform.
//!
//! Contract first: `docs/openapi/staff.yaml` lists exactly these routes, and a test compares both.
mod access;
mod adapters;
mod agents;
mod approvals;
mod attempts;
mod audit;
mod body;
mod cancel;
mod cookies;
mod deliveries;
mod evidence;
mod github_tokens;
mod labels;
mod launch_profile;
mod members;
mod namespaces;
mod next_steps;
mod personal_tokens;
mod principal;
mod projects;
mod query;
mod repositories;
mod router;
mod run_events;
mod run_logs;
mod run_tokens;
mod runs;
mod sign_in;
mod state;
mod thread_requests;
mod users;
mod wait_queue;

pub(crate) use approvals::checked_decision;
pub use body::{JsonBody, parse as parse_body, read as read_body};
pub use principal::{AuthMethod, FORWARDED_ADDRESS_HEADER, Principal, bearer_value};
pub use router::{BASE_PATH, ROUTES, router};
pub use state::Services;
