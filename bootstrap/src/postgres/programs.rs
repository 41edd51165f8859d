//! Which server programs a run uses: those of this machine, else those of the registry.

use super::binaries::{self, ServerPrograms};
use super::error::PostgresError;
use super::{WAY, fetched};
use crate::cache::CacheFolder;
use crate::error::Result;
use crate::progress::{Piece, Progress};

/// The programs to start a server with, fetched if need be.
///
/// # Errors
/// When the way that was asked for is unknown, or the programs cannot be had.
pub(crate) async fn obtain(cache: &CacheFolder, progress: &dyn Progress) -> Result<ServerPrograms> {
    let may_be_local = match std::env::var(WAY).as_deref() {
        Ok("container") => return Err(PostgresError::ContainerNotBuilt.into()),
        Ok("fetched") => false,
        Ok("") | Err(_) => true,
        Ok(other) => return Err(PostgresError::UnknownWay(other.to_owned()).into()),
    };
    if let Some(found) = binaries::find().filter(|_| may_be_local) {
        return Ok(found);
    }
    if let Some(found) = fetched::cached(cache) {
        return Ok(found);
    }
    let piece = Piece::start(progress, "postgres programs");
    let programs = fetched::download(cache, &piece).await?;
    piece.ready(programs.origin);
    Ok(programs)
}
