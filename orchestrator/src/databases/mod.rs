//! The databases of projects (governance 2.4): the server they are on. What may be asked for is decided by
//! `domain::databases`; who has which name is in `store::project_databases`.
mod server;

pub use server::{ProjectServer, ServerError};
