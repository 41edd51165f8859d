//! Messages to people over a chat, what they press and write there, and decisions that come back through it
//! (governance 2.6, 3.5 and 7).

mod callbacks;
mod chat;
mod decisions;
mod messages;

pub(super) use chat::{message, token};
