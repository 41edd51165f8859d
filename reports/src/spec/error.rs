//! Why the specification could not be read.
use std::io;
use std::path::PathBuf;

/// A defect of the specification, or of the folder that holds it.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// A chapter cannot be read.
    #[error("failed to read the chapter {path}")]
    Read {
        /// Path of the chapter.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A line does not have its form.
    #[error("{chapter}:{line}: {problem}")]
    Line {
        /// File name.
        chapter: &'static str,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// Parts of the specification disagree.
    #[error("the specification disagrees with itself: {0}")]
    Disagreement(String),
}
