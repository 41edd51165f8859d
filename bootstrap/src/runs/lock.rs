//! Locks that tell whether their owner lives. Whoever only looks holds one for a moment too, and must not be taken for
//! an owner.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long a look takes at most, and how often it is waited for.
const LOOK: Duration = Duration::from_millis(2);
const LOOKS: usize = 500;

/// Takes the lock for an owner; `false` when another owner has it.
pub(super) fn take(file: &File) -> io::Result<bool> {
    for _ in 0..LOOKS {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        match file.try_lock_shared() {
            // Only lookers have it.
            Ok(()) => file.unlock()?,
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => return Ok(false),
        }
        std::thread::sleep(LOOK);
    }
    Ok(false)
}

/// Whether an owner holds the lock of this file; a file that is not there has none.
pub(super) fn is_held(path: &Path) -> bool {
    File::open(path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
