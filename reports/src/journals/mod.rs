//! The journals of a bundle, read back: the only input of coverage, ledger, timelines and verdict.
mod audit;
mod certificate;
mod github;
mod lane;
mod read;

pub use audit::AuditRecord;
pub use certificate::{
    CertificateGaps, CertificateOrigin, CertificateProblem, CertificateRoute, GithubCertificate,
};
pub use github::{GithubRecord, LabelChange};
pub use lane::LaneSlices;
pub(crate) use lane::{text as field_text, time as field_time};
pub(crate) use read::files_below;
pub use read::{JournalError, Journals, Line, SelfCheck};
