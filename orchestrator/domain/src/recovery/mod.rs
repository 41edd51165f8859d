//! What is made good when GitHub's webhooks did not arrive.

mod deliveries;
mod labels;

pub use deliveries::{Asked, Attempt, GRACE, Known, Lost, lost, read_from};
pub use labels::{Difference, LabelTold, OpenThread, Seen, ToldLabels, differences, label_told};
