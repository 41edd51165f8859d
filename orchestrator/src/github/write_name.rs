//! Names of writes to GitHub, for the points at which a process can be killed (E-44).

/// A write by its verb and the words of its route: `github.create.issues.labels`.
pub(super) struct WriteName<'a>(pub(super) &'static str, pub(super) &'a str);

impl std::fmt::Display for WriteName<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(verb, route) = self;
        write!(formatter, "github.{verb}")?;
        let path = route.split('?').next().unwrap_or_default();
        let mut words = path.trim_matches('/').split('/').peekable();
        // What a repository is called says nothing about the write, and neither does the name of a label.
        if words.next_if_eq(&"repos").is_some() {
            words.next();
            words.next();
        }
        let kinds = [
            "issues",
            "comments",
            "labels",
            "hooks",
            "reactions",
            "pulls",
            "deliveries",
            "attempts",
            "secrets",
        ];
        for word in words.filter(|word| kinds.contains(word)) {
            write!(formatter, ".{word}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_named_by_its_verb_and_the_kinds_in_its_route() {
        let cases = [
            (
                "create",
                "/repos/shop/app/issues/7/labels",
                "github.create.issues.labels",
            ),
            (
                "delete",
                "/repos/shop/app/issues/7/labels/run%3Adev",
                "github.delete.issues.labels",
            ),
            (
                "update",
                "/repos/shop/app/issues/comments/12",
                "github.update.issues.comments",
            ),
            (
                "create",
                "/repos/issues/labels/hooks",
                "github.create.hooks",
            ),
        ];
        for (verb, route, expected) in cases {
            assert_eq!(WriteName(verb, route).to_string(), expected);
        }
    }
}
