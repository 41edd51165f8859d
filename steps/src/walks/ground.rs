//! What a walk plays on: a repository with two Issues, the people of the reference, and a folder through which agents
//! are told what to do.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::Context;
use fixtures::stories;
use reference::{BOT, Walk};

use crate::{
    definitions::{people, requests::known_user, setup::bind},
    github::Person,
    place::{Place, email_of},
    platform::Platform,
    staff::Staff,
    world::{Gate, GateWorld},
};

/// The person of the reference who owns the platform.
const OWNER: &str = "olga";
/// Number of the reference's first pull request.
pub(super) const FIRST_PULL: i64 = 101;

/// Where one walk plays.
#[derive(Clone)]
pub struct Ground {
    pub(super) gate: Arc<Gate>,
    pub(super) platform: Arc<Platform>,
    pub(super) place: Place,
    second_issue: u64,
    people: BTreeMap<&'static str, Person>,
    folder: PathBuf,
}

impl Ground {
    /// Makes the repository and everybody who takes part in the walk.
    ///
    /// # Errors
    /// When GitHub's stand-in or the staff API refuses.
    pub async fn prepare(world: &mut GateWorld, walk: &Walk) -> anyhow::Result<Self> {
        let gate = world.gate.clone();
        let folder = gate
            .signals
            .join(format!("walk-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).context("failed to make the folder of a walk")?;
        bind(world, stories::does_as_told(&folder.display().to_string())).await?;
        let place = world.place()?;
        let second_issue = place
            .member
            .open_issue(&place.repository, "Say good-bye", "")
            .await?;
        let mut ground = Self {
            platform: world.platform(),
            gate,
            place,
            second_issue,
            people: BTreeMap::new(),
            folder,
        };
        for login in walk.moves.iter().filter_map(|step| step.who()) {
            let known = reference::person(login).login;
            if !ground.people.contains_key(known) {
                let person = ground.invite(world, known).await?;
                ground.people.insert(known, person);
            }
        }
        Ok(ground)
    }

    async fn invite(&self, world: &mut GateWorld, login: &str) -> anyhow::Result<Person> {
        let github = &self.gate.github;
        let repository = &self.place.repository;
        let login = match login {
            "alice" => return people::person(world, "approver").await,
            "bob" => return Ok(self.place.member.clone()),
            "mallory" => return Ok(self.place.outsider.clone()),
            OWNER => github.owner_login(),
            "carol" => known_user(world, &self.place, Some("read")).await?,
            "erin" => known_user(world, &self.place, None).await?,
            BOT => github.bot_login(),
            _ => {
                let login = format!("robot-{}[bot]", self.place.repository_id);
                github.create_bot(repository, &login)?;
                login
            }
        };
        let token = github.token_of(repository, &login)?;
        Ok(Person::new(&login, github.as_user(&token)))
    }

    pub(super) fn person(&self, login: &str) -> anyhow::Result<&Person> {
        self.people
            .get(login)
            .with_context(|| format!("{login} takes no part in the walk"))
    }

    /// The staff API as this person.
    pub(super) fn staff_of(&self, login: &str) -> anyhow::Result<Staff> {
        let staff = &self.platform.staff;
        if login == OWNER {
            return Ok(staff.clone());
        }
        Ok(staff.as_person(&email_of(&self.person(login)?.login)))
    }

    /// The number on GitHub of a thread of the reference.
    pub(super) fn number(&self, thread: &reference::Place) -> anyhow::Result<u64> {
        if thread.is_issue() {
            return Ok(match thread.number {
                1 => self.place.issue,
                _ => self.second_issue,
            });
        }
        let position = usize::try_from(thread.number - FIRST_PULL)?;
        let found = self.pulls().get(position).copied();
        found.with_context(|| format!("GitHub has no {thread} of the walk"))
    }

    /// Pull requests on GitHub, oldest first.
    pub(super) fn pulls(&self) -> Vec<u64> {
        self.gate.github.handle().read(|state| {
            let repository = state.repository(&self.place.repository);
            let issues = repository.into_iter().flat_map(|found| &found.issues);
            issues
                .filter(|(_, issue)| issue.pull.is_some())
                .map(|(number, _)| *number)
                .collect()
        })
    }

    /// The thread of the reference with this number on GitHub.
    pub(super) fn thread(&self, number: u64) -> Option<reference::Place> {
        if number == self.place.issue {
            return Some(reference::Place::issue(1));
        }
        if number == self.second_issue {
            return Some(reference::Place::issue(2));
        }
        let position = self.pulls().iter().position(|pull| *pull == number)?;
        let position = i64::try_from(position).ok()?;
        Some(reference::Place::pull(FIRST_PULL + position))
    }

    /// Lets the waiting agent of a run go on with a shell script. It is moved into place, so that no agent reads half
    /// of it.
    pub(super) fn tell(&self, run: &str, script: &str) -> anyhow::Result<()> {
        let draft = self.folder.join(format!("{run}.draft"));
        std::fs::write(&draft, script)
            .and_then(|()| std::fs::rename(&draft, self.folder.join(run)))
            .context("failed to tell an agent what to do")
    }
}
