//! What can happen in a walk, as plain data, and who takes part.

use std::fmt;

use super::Place;

/// The login that the platform writes with.
pub const BOT: &str = "codex-bot";

/// Somebody on GitHub, and what the platform knows of that login.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Person {
    pub login: &'static str,
    /// Account type on GitHub.
    pub account: &'static str,
    /// The platform knows the login.
    pub known: bool,
    /// Role in the project; none when no member.
    pub role: Option<&'static str>,
    pub owner: bool,
}

const fn someone(
    login: &'static str,
    account: &'static str,
    known: bool,
    role: Option<&'static str>,
    owner: bool,
) -> Person {
    Person {
        login,
        account,
        known,
        role,
        owner,
    }
}

/// Everybody, the two who do most first.
pub const PEOPLE: [Person; 8] = [
    someone("alice", "User", true, Some("admin"), false),
    someone("bob", "User", true, Some("read_write"), false),
    someone("olga", "User", true, None, true),
    someone("carol", "User", true, Some("read"), false),
    someone("erin", "User", true, None, false),
    someone("mallory", "User", false, None, false),
    someone("robot[bot]", "Bot", false, None, false),
    someone(BOT, "User", false, None, false),
];

pub fn person(login: &str) -> &'static Person {
    PEOPLE
        .iter()
        .find(|person| person.login == login)
        .unwrap_or_else(|| panic!("{login} takes part in no walk"))
}

impl Person {
    /// Permitted actor (glossary).
    pub fn permitted(&self) -> bool {
        self.owner || matches!(self.role, Some("admin" | "read_write"))
    }

    /// Approver (glossary).
    pub fn approver(&self) -> bool {
        self.owner || self.role == Some("admin")
    }
}

/// One thing that happens. A move that the world has no place for (a label that is there already, a run that is over)
/// does nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    Label {
        who: String,
        at: Place,
        label: String,
    },
    /// Two labels in one click: both are there when the first is told.
    LabelTwo {
        who: String,
        issue: i64,
        labels: [String; 2],
    },
    Unlabel {
        who: String,
        at: Place,
        label: String,
    },
    Comment {
        who: String,
        at: Place,
    },
    Review {
        who: String,
        pull: i64,
        state: String,
    },
    SetIssueOpen {
        who: String,
        issue: i64,
        open: bool,
    },
    ClosePull {
        who: String,
        pull: i64,
        merged: bool,
    },
    /// A commit comes into the pull request.
    Push {
        pull: i64,
    },
    /// The agent of a run is done: `succeeded` with or without a pull request, or `failed`.
    End {
        run: usize,
        how: String,
        makes_pull: bool,
    },
    /// Staff cancels a run.
    Cancel {
        run: usize,
        abandon: bool,
    },
    /// The platform sets a trigger label for a person (L-18, L-99).
    NextStep {
        who: String,
        issue: i64,
        label: String,
    },
    /// GitHub tells of the label once more, under another delivery id.
    TellAgain {
        who: String,
        pull: i64,
    },
    /// `preflight` fails or passes, `agent:<key>` is switched off or on.
    Switch {
        what: String,
        bad: bool,
    },
}

impl Move {
    /// The person who does it; none when an agent, staff or time does.
    pub fn who(&self) -> Option<&str> {
        match self {
            Move::Label { who, .. }
            | Move::LabelTwo { who, .. }
            | Move::Unlabel { who, .. }
            | Move::Comment { who, .. }
            | Move::Review { who, .. }
            | Move::SetIssueOpen { who, .. }
            | Move::ClosePull { who, .. }
            | Move::NextStep { who, .. }
            | Move::TellAgain { who, .. } => Some(who),
            Move::Push { .. } | Move::End { .. } | Move::Cancel { .. } | Move::Switch { .. } => {
                None
            }
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Move::Label { who, at, label } => write!(out, "{who} sets {label} on {at}"),
            Move::LabelTwo { who, issue, labels } => {
                let [first, second] = labels;
                write!(
                    out,
                    "{who} sets {first} and {second} at once on issue#{issue}"
                )
            }
            Move::Unlabel { who, at, label } => write!(out, "{who} removes {label} from {at}"),
            Move::Comment { who, at } => write!(out, "{who} comments on {at}"),
            Move::Review { who, pull, state } => write!(out, "{who} reviews pr#{pull}: {state}"),
            Move::SetIssueOpen { who, issue, open } => {
                let verb = if *open { "reopens" } else { "closes" };
                write!(out, "{who} {verb} issue#{issue}")
            }
            Move::ClosePull { who, pull, merged } => {
                let verb = if *merged { "merges" } else { "closes" };
                write!(out, "{who} {verb} pr#{pull}")
            }
            Move::Push { pull } => write!(out, "a commit comes into pr#{pull}"),
            Move::End {
                run,
                how,
                makes_pull,
            } => {
                let with = if *makes_pull { "a" } else { "no" };
                write!(out, "run {run} ends: {how}, {with} pull request of its own")
            }
            Move::Cancel { run, abandon } => {
                write!(out, "staff cancels run {run}, abandon={abandon}")
            }
            Move::NextStep { who, issue, label } => {
                write!(out, "{who} executes {label} on issue#{issue}")
            }
            Move::TellAgain { who, pull } => {
                write!(out, "need:reviewer by {who} on pr#{pull} is told again")
            }
            Move::Switch { what, bad } => write!(out, "{what} is bad: {bad}"),
        }
    }
}
