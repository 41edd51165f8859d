//! Whom a run speaks to (G-63): never whom the agent names.

/// Logins that a run knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipientFacts {
    /// Who opened the Issue.
    pub issue_author: Option<String>,
    /// Who opened the pull request.
    pub pull_request_author: Option<String>,
    /// Whose webhook started the run.
    pub sender: Option<String>,
    /// The platform's own login: it reads no messages.
    pub bot: Option<String>,
}

/// The first person of these, as adapters know people: `github_login:<login>`.
pub fn recipient(facts: &RecipientFacts) -> Option<String> {
    let is_person = |login: &&String| {
        !login.is_empty()
            && facts
                .bot
                .as_ref()
                .is_none_or(|bot| !bot.eq_ignore_ascii_case(login))
    };
    [
        &facts.issue_author,
        &facts.pull_request_author,
        &facts.sender,
    ]
    .into_iter()
    .flatten()
    .find(is_person)
    .map(|login| format!("github_login:{login}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_author_of_the_issue_comes_first_and_nobody_is_nobody() {
        let login = |login: &str| Some(login.to_owned());
        let cases = [
            ((login("ann"), login("ben"), login("eve")), Some("ann")),
            ((None, login("ben"), login("eve")), Some("ben")),
            ((None, None, login("eve")), Some("eve")),
            ((None, login("Codex-Bot"), login("eve")), Some("eve")),
            ((login(""), None, None), None),
            ((None, None, None), None),
        ];
        for ((issue_author, pull_request_author, sender), expected) in cases {
            let facts = RecipientFacts {
                issue_author,
                pull_request_author,
                sender,
                bot: login("codex-bot"),
            };
            let expected = expected.map(|login| format!("github_login:{login}"));
            assert_eq!(recipient(&facts), expected, "{facts:?}");
        }
    }
}
