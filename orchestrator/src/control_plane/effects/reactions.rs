//! Reactions: GitHub itself keeps one per account, so adding twice is adding once.
use domain::effects::{Reaction, ReactionTarget};

use super::{Attempt, EffectError, Performed};
use crate::github;

pub(super) async fn add(
    attempt: &Attempt<'_>,
    target: &ReactionTarget,
    reaction: Reaction,
) -> Result<Performed, EffectError> {
    match target {
        ReactionTarget::Thread(thread) => {
            let access = github::access_to(attempt.app, &thread.repository_full_name).await?;
            access.writer.react_to_thread(thread, reaction).await?;
        }
        ReactionTarget::Comment {
            repository_full_name,
            comment_id,
        } => {
            let access = github::access_to(attempt.app, repository_full_name).await?;
            access
                .writer
                .react_to_comment(*comment_id, reaction)
                .await?;
        }
    }
    Ok(Performed::nothing())
}
