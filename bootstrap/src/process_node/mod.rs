//! A small kubelet that runs the Pods bound to it as local processes.
//!
//! The embedded target has a real API server, scheduler and controller-manager, but no container
//! runtime. This node closes the gap: it registers a Node, watches the Pods bound to it, prepares
//! their volumes and environment, runs their containers as processes in groups of their own, and
//! reports status, events and logs the way a kubelet does. What it does not honour (image, user,
//! security context, limits) is said in the Node's annotations; anything else it does not know is
//! refused with an event, so that no scenario passes because something was silently left out.

mod capabilities;
mod config;
mod container;
mod environment;
mod error;
mod events;
mod image_name;
mod journal;
mod log_server;
mod logs;
mod node;
mod path_mapping;
mod pod_worker;
mod process;
mod registration;
mod status;
mod status_writer;
mod volumes;

pub use config::{ProcessNodeConfig, ServingIdentity};
pub use error::ProcessNodeError;
pub use node::ProcessNode;
