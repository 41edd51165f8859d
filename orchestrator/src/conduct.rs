//! How far a process goes with what it was asked for.
//!
//! The product decides, writes down and acts, always: [`Product`] is its one implementation. The gate proves itself
//! (E-40) against programs that stop half-way and otherwise are this library; their implementations live with the gate,
//! so that product code never asks whether it is being tested (design invariant 8).
use domain::decide::{Consequences, Decision};
use domain::events::Event;
use futures::future::BoxFuture;

use crate::store::runs::WorkerRun;
use crate::worker::{LaunchError, WorkerContext};

/// What happens for a repository after a decision was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acting {
    /// GitHub and Kubernetes are changed.
    InTheWorld,
    /// Rows and events are written as if they had been.
    OnPaper,
    /// Nothing.
    NotAtAll,
}

/// Asked wherever a process is about to write down a decision or to change the world.
pub trait Conduct: Send + Sync {
    /// The decision that is committed.
    fn decided(&self, _event: &Event, decision: Decision) -> Decision {
        decision
    }

    /// What is committed of a request that a person made for `owner/name`.
    fn asked(&self, _repository_full_name: &str, consequences: Consequences) -> Consequences {
        consequences
    }

    /// What is done for `owner/name`.
    fn acting(&self, _repository_full_name: &str) -> Acting {
        Acting::InTheWorld
    }

    /// The worker's step of a run whose repository is acted on only on paper.
    fn step_on_paper<'a>(
        &'a self,
        _ctx: &'a WorkerContext,
        _run: &'a WorkerRun,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The product.
#[derive(Debug, Clone, Copy)]
pub struct Product;

impl Conduct for Product {}
