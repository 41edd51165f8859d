//! `gonogo selfcheck --null` (E-40).

use crate::{cli::RunArguments, exit_code::ExitStatus, gate::Failure};

/// Plays the features against orchestrators that do nothing.
///
/// # Errors
/// When the gate could not do its work.
pub async fn null(_arguments: RunArguments) -> Result<ExitStatus, Failure> {
    Err(Failure::Usage("the null check is not built yet".to_owned()))
}
