//! Exit codes (spec/gate.md §5).

/// What the program tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// GO, or the command did what it should.
    Go,
    /// NO-GO, or a check failed.
    NoGo,
    /// Wrong usage: flags, feature files, selection.
    Usage,
    /// Something could not be established.
    Inconclusive,
    /// The gate itself failed.
    GateFailed,
}

impl ExitStatus {
    /// How another gonogo ended; one that was killed failed.
    #[must_use]
    pub fn from_code(code: Option<i32>) -> Self {
        [Self::Go, Self::NoGo, Self::Usage, Self::Inconclusive]
            .into_iter()
            .find(|status| Some(i32::from(status.code())) == code)
            .unwrap_or(Self::GateFailed)
    }

    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Go => 0,
            Self::NoGo => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::GateFailed => 4,
        }
    }
}

/// The table that `gonogo help exit-codes` prints.
pub const EXIT_CODES: &str = "\
0  GO, or success
1  NO-GO: something was disproven, or a check failed
2  wrong usage: flags, a feature file with an error, an empty selection
3  INCONCLUSIVE: something could not be established, or the run was interrupted
4  the gate itself failed";
