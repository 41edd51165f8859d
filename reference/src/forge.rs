//! As much of GitHub as walks need: threads with labels, pull requests with heads and reviews, comments. No rule of
//! the platform is in it.

use std::collections::BTreeMap;
use std::fmt;

/// One Issue or one pull request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `issue` or `pr`.
    pub kind: &'static str,
    pub number: i64,
}

impl Place {
    pub fn issue(number: i64) -> Self {
        Self {
            kind: "issue",
            number,
        }
    }

    pub fn pull(number: i64) -> Self {
        Self { kind: "pr", number }
    }

    pub fn is_issue(&self) -> bool {
        self.kind == "issue"
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.kind, self.number)
    }
}

/// A pull request.
#[derive(Clone, Debug)]
pub struct Pull {
    pub branch: String,
    pub open: bool,
    pub merged: bool,
    /// Grows with each push.
    pub head: u64,
    /// Grows with each change of the pull request, like `updated_at`.
    pub touched: u64,
    /// Author and head of each review, in order.
    pub reviews: Vec<(String, String, u64)>,
}

/// Threads of one repository.
#[derive(Clone, Debug, Default)]
pub struct Forge {
    labels: BTreeMap<Place, Vec<String>>,
    closed_issues: Vec<i64>,
    pub pulls: BTreeMap<i64, Pull>,
    comments: Vec<(Place, u64)>,
    /// Moves so far: the only time there is.
    pub tick: u64,
}

/// Issues of the walks; the last lies in a repository that is bound to no project.
pub const ISSUES: [i64; 3] = [1, 2, 9];
pub const UNBOUND: i64 = 9;
/// Numbers of pull requests begin here.
const FIRST_PULL: i64 = 101;

impl Forge {
    pub fn exists(&self, place: &Place) -> bool {
        if place.is_issue() {
            ISSUES.contains(&place.number)
        } else {
            self.pulls.contains_key(&place.number)
        }
    }

    pub fn places(&self) -> Vec<Place> {
        let issues = ISSUES.iter().map(|number| Place::issue(*number));
        let pulls = self.pulls.keys().map(|number| Place::pull(*number));
        issues.chain(pulls).collect()
    }

    /// Labels in the order in which they came.
    pub fn labels(&self, place: &Place) -> &[String] {
        self.labels.get(place).map_or(&[], Vec::as_slice)
    }

    pub fn bears(&self, place: &Place, label: &str) -> bool {
        self.labels(place)
            .iter()
            .any(|name| name.eq_ignore_ascii_case(label))
    }

    /// False when the thread bears it already.
    pub fn add_label(&mut self, place: &Place, label: &str) -> bool {
        let news = !self.bears(place, label);
        if news {
            let labels = self.labels.entry(place.clone()).or_default();
            labels.push(label.to_owned());
            self.touch(place);
        }
        news
    }

    /// The spelling that was there, if it was.
    pub fn remove_label(&mut self, place: &Place, label: &str) -> Option<String> {
        let labels = self.labels.get_mut(place)?;
        let position = labels
            .iter()
            .position(|name| name.eq_ignore_ascii_case(label))?;
        let removed = labels.remove(position);
        self.touch(place);
        Some(removed)
    }

    fn touch(&mut self, place: &Place) {
        if let (false, Some(pull)) = (place.is_issue(), self.pulls.get_mut(&place.number)) {
            pull.touched += 1;
        }
    }

    pub fn is_open(&self, issue: i64) -> bool {
        !self.closed_issues.contains(&issue)
    }

    /// False when it was so already.
    pub fn set_open(&mut self, issue: i64, open: bool) -> bool {
        let changes = self.is_open(issue) != open;
        if open {
            self.closed_issues.retain(|closed| *closed != issue);
        } else if changes {
            self.closed_issues.push(issue);
        }
        changes
    }

    /// The open pull request of a branch.
    pub fn open_pull_of(&self, branch: &str) -> Option<i64> {
        let mut pulls = self.pulls.iter();
        pulls
            .find(|(_, pull)| pull.open && pull.branch == branch)
            .map(|(number, _)| *number)
    }

    pub fn open_pull(&mut self, branch: &str) -> i64 {
        let number = FIRST_PULL + self.pulls.len() as i64;
        let pull = Pull {
            branch: branch.to_owned(),
            open: true,
            merged: false,
            head: 1,
            touched: 1,
            reviews: Vec::new(),
        };
        self.pulls.insert(number, pull);
        number
    }

    pub fn push(&mut self, number: i64) {
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.head += 1;
            pull.touched += 1;
        }
    }

    pub fn comment(&mut self, place: &Place) {
        let now = self.tick;
        self.comments.push((place.clone(), now));
    }

    /// Comments and reviews on a thread since a moment.
    pub fn evidence_since(&self, place: &Place, since: u64) -> usize {
        let comments = self.comments.iter();
        comments
            .filter(|(on, at)| on == place && *at >= since)
            .count()
    }
}
