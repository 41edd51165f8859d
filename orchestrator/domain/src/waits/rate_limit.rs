//! Which limit an answer means, how long it is waited out and how often.

use super::LimitAnswer;
use crate::stages::spelled;

/// Added to `Retry-After`: who comes back on the second is refused again.
const RETRY_AFTER_MARGIN_SECONDS: i64 = 15;
/// Added to the end of a primary window.
const RESET_MARGIN_SECONDS: i64 = 5;
/// A second attempt after a primary window comes no sooner than this.
const LATER_PRIMARY_SECONDS: i64 = 60;
/// First pause of a limit that says nothing of its length; it doubles with each attempt.
const UNCLEAR_SECONDS: i64 = 60;
/// Longest pause of such a limit.
const UNCLEAR_LIMIT_SECONDS: i64 = 15 * 60;
/// GitHub's windows are an hour; an answer that names a longer span is not believed.
const LONGEST_SECONDS: i64 = 2 * 60 * 60;

spelled!(
    /// Whose calls are limited.
    Contour {
        /// The platform's own.
        PlatformPat = "platform_pat",
        /// The agent's, as the bot.
        AgentBotToken = "agent_bot_token",
    }
);

spelled!(
    /// Which of GitHub's two limits.
    LimitKind {
        /// The requests of a window are used up.
        Primary = "primary",
        /// Too much at once.
        Secondary = "secondary",
    }
);

spelled!(
    /// What was being done.
    OperationClass {
        /// The agent's own work.
        AgentGithubCall = "agent_github_call",
        /// The status comment of a run.
        RunStatusComment = "run_status_comment",
        /// A label of a thread.
        IssueLabelTransition = "issue_label_transition",
        /// Any other call.
        RepositoryProviderCall = "repository_provider_call",
    }
);

spelled!(
    /// `github_rate_limit_waits.state`.
    LimitWaitState {
        /// Met, and not judged yet.
        Open = "open",
        /// Goes on by itself when it is due.
        AutoResumeScheduled = "auto_resume_scheduled",
        /// Being tried.
        AutoResumeInProgress = "auto_resume_in_progress",
        /// The limit is over.
        Resolved = "resolved",
        /// Only staff lets it go on.
        ManualActionRequired = "manual_action_required",
        /// The run is over.
        Cancelled = "cancelled",
    }
);

impl OperationClass {
    /// What an effect of this kind (`outbox_effects.kind`) does; none for what does not call GitHub.
    pub fn of_effect(kind: &str) -> Option<Self> {
        match kind {
            "status_comment" => Some(Self::RunStatusComment),
            "add_label" | "remove_label" => Some(Self::IssueLabelTransition),
            "create_comment" | "add_reaction" => Some(Self::RepositoryProviderCall),
            _ => None,
        }
    }

    /// What happens when the wait is due.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::AgentGithubCall => "agent_session_resume",
            Self::RunStatusComment => "run_status_comment_retry",
            Self::IssueLabelTransition | Self::RepositoryProviderCall => {
                "platform_github_call_replay"
            }
        }
    }

    /// What staff is asked for once the attempts are used up.
    pub fn manual_action(self) -> &'static str {
        match self {
            Self::AgentGithubCall => "resume_agent_session",
            Self::RunStatusComment | Self::IssueLabelTransition => "requeue_platform_operation",
            Self::RepositoryProviderCall => "retry_after_operator_review",
        }
    }
}

/// A limit as GitHub told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Secondary, and GitHub says for how long.
    RetryAfter {
        /// Its span.
        seconds: i64,
    },
    /// Primary: nothing is left in the window.
    Window {
        /// Until its end.
        seconds: i64,
    },
    /// Secondary, with nothing said of its length.
    Unclear,
}

/// What an answer of GitHub means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Waiting changes nothing: the token is the trouble, or it is no limit at all.
    HardFailure,
    /// Waited out.
    Limited(Limit),
}

/// Judges an answer.
pub fn judge(answer: &LimitAnswer) -> Judgement {
    if answer.is_about_credentials() || !answer.is_limit() {
        return Judgement::HardFailure;
    }
    let believed = |seconds: i64| seconds.clamp(0, LONGEST_SECONDS);
    Judgement::Limited(
        match (
            answer.retry_after_seconds,
            answer.remaining,
            answer.reset_after_seconds,
        ) {
            (Some(seconds), _, _) => Limit::RetryAfter {
                seconds: believed(seconds),
            },
            (None, Some(0), Some(seconds)) => Limit::Window {
                seconds: believed(seconds),
            },
            _ => Limit::Unclear,
        },
    )
}

/// What follows an attempt that met the limit, the first call included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterAttempt {
    /// Once more after so many seconds.
    Again {
        /// Platform time from now.
        seconds: i64,
    },
    /// Staff decides.
    Manual,
}

impl Limit {
    /// Which of GitHub's two.
    pub fn kind(self) -> LimitKind {
        match self {
            Self::Window { .. } => LimitKind::Primary,
            Self::RetryAfter { .. } | Self::Unclear => LimitKind::Secondary,
        }
    }

    /// Attempts after the first call.
    pub fn max_attempts(self) -> i32 {
        match self {
            Self::RetryAfter { .. } | Self::Window { .. } => 2,
            Self::Unclear => 3,
        }
    }

    /// Seconds until the attempt that follows `used` others.
    pub fn delay_seconds(self, used: i32) -> i64 {
        match self {
            Self::RetryAfter { seconds } => seconds + RETRY_AFTER_MARGIN_SECONDS,
            Self::Window { seconds } if used == 0 => seconds + RESET_MARGIN_SECONDS,
            Self::Window { seconds } => (seconds + RESET_MARGIN_SECONDS).max(LATER_PRIMARY_SECONDS),
            Self::Unclear => {
                let doublings = u32::try_from(used).unwrap_or(0).min(8);
                (UNCLEAR_SECONDS << doublings).min(UNCLEAR_LIMIT_SECONDS)
            }
        }
    }

    /// What follows when `used` of `max` attempts have met the limit.
    pub fn after(self, used: i32, max: i32) -> AfterAttempt {
        if used >= max {
            AfterAttempt::Manual
        } else {
            AfterAttempt::Again {
                seconds: self.delay_seconds(used),
            }
        }
    }
}

/// An open wait of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenLimitWait<Id, Moment> {
    /// Which.
    pub id: Id,
    /// Staff is asked for.
    pub is_manual: bool,
    /// When it goes on by itself.
    pub resume_not_before: Option<Moment>,
}

/// The wait that the run shows: a manual one first, then the one that goes on last.
pub fn dominant<Id: Copy, Moment: Ord + Copy>(waits: &[OpenLimitWait<Id, Moment>]) -> Option<Id> {
    waits
        .iter()
        .max_by_key(|wait| (wait.is_manual, wait.resume_not_before))
        .map(|wait| wait.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(
        status: u16,
        message: &str,
        retry_after_seconds: Option<i64>,
        remaining: Option<i64>,
        reset_after_seconds: Option<i64>,
    ) -> LimitAnswer {
        LimitAnswer {
            status: Some(status),
            message: message.to_owned(),
            retry_after_seconds,
            remaining,
            reset_after_seconds,
        }
    }

    const SECONDARY: &str =
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    const PRIMARY: &str = "API rate limit exceeded for user ID 7.";

    #[test]
    fn each_answer_has_its_class_delays_and_attempts() {
        // Answer; its limit, the delays of the attempts in order, then staff.
        let cases: [(LimitAnswer, LimitKind, &[i64]); 9] = [
            (
                answer(403, SECONDARY, Some(60), Some(4000), Some(900)),
                LimitKind::Secondary,
                &[75, 75],
            ),
            (
                answer(429, SECONDARY, Some(0), None, None),
                LimitKind::Secondary,
                &[15, 15],
            ),
            (
                answer(429, "", None, None, None),
                LimitKind::Secondary,
                &[60, 120, 240],
            ),
            (
                answer(403, PRIMARY, None, Some(0), Some(900)),
                LimitKind::Primary,
                &[905, 905],
            ),
            (
                answer(403, PRIMARY, None, Some(0), Some(3)),
                LimitKind::Primary,
                &[8, 60],
            ),
            (
                answer(403, PRIMARY, None, Some(0), None),
                LimitKind::Secondary,
                &[60, 120, 240],
            ),
            (
                answer(403, SECONDARY, None, Some(12), Some(900)),
                LimitKind::Secondary,
                &[60, 120, 240],
            ),
            (
                answer(
                    403,
                    "You have triggered an abuse detection mechanism",
                    None,
                    None,
                    None,
                ),
                LimitKind::Secondary,
                &[60, 120, 240],
            ),
            (
                LimitAnswer::words(
                    "fatal: unable to access: The requested URL returned error: 429",
                ),
                LimitKind::Secondary,
                &[60, 120, 240],
            ),
        ];
        for (answer, kind, delays) in cases {
            let Judgement::Limited(limit) = judge(&answer) else {
                panic!("no limit: {answer:?}");
            };
            assert_eq!(limit.kind(), kind, "{answer:?}");
            let max = limit.max_attempts();
            let planned: Vec<AfterAttempt> = (0..=max).map(|used| limit.after(used, max)).collect();
            let mut expected: Vec<AfterAttempt> = delays
                .iter()
                .map(|seconds| AfterAttempt::Again { seconds: *seconds })
                .collect();
            expected.push(AfterAttempt::Manual);
            assert_eq!(planned, expected, "{answer:?}");
        }
    }

    #[test]
    fn what_waiting_does_not_change_is_a_hard_failure() {
        for (status, message, retry_after) in [
            (401, "Bad credentials", None),
            (403, "Bad credentials", Some(60)),
            (
                403,
                "Resource not accessible by personal access token",
                Some(60),
            ),
            (403, "Must have admin rights to Repository.", None),
            (
                403,
                "You do not have permission; rate limit unaffected",
                None,
            ),
            (403, "Repository was archived so is read-only.", None),
            (422, "API rate limit exceeded", None),
            (503, SECONDARY, Some(60)),
        ] {
            let answer = answer(status, message, retry_after, None, None);
            assert_eq!(judge(&answer), Judgement::HardFailure, "{answer:?}");
        }
    }

    #[test]
    fn unclear_pauses_stop_growing_and_no_span_is_believed_beyond_reason() {
        assert_eq!(Limit::Unclear.delay_seconds(3), 480);
        assert_eq!(Limit::Unclear.delay_seconds(4), 900);
        assert_eq!(Limit::Unclear.delay_seconds(i32::MAX), 900);
        let long = answer(429, SECONDARY, Some(i64::MAX), None, None);
        assert_eq!(
            judge(&long),
            Judgement::Limited(Limit::RetryAfter { seconds: 7200 })
        );
    }

    #[test]
    fn only_the_limit_of_github_is_found_in_the_output_of_a_program() {
        let found = LimitAnswer::in_output(
            "working\ngh: API rate limit exceeded for user ID 7. (HTTP 403)\n",
        );
        assert_eq!(
            found.map(|answer| answer.message).as_deref(),
            Some("gh: API rate limit exceeded for user ID 7. (HTTP 403)")
        );
        for output in [
            "",
            "error: 429 Too Many Requests from the registry",
            "rate limit of the shop",
        ] {
            assert_eq!(LimitAnswer::in_output(output), None, "{output}");
        }
    }

    #[test]
    fn headers_are_read_as_spans_by_the_clock_of_github() {
        let headers = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1700000900"),
            ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ];
        let header = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        };
        let read = LimitAnswer::read(403, PRIMARY, header);
        assert_eq!(read, answer(403, PRIMARY, None, Some(0), Some(900)));
    }

    #[test]
    fn a_manual_wait_dominates_then_the_one_that_goes_on_last() {
        let wait = |id, is_manual, resume_not_before| OpenLimitWait {
            id,
            is_manual,
            resume_not_before,
        };
        assert_eq!(dominant::<u8, i64>(&[]), None);
        assert_eq!(dominant(&[wait(1, false, Some(10))]), Some(1));
        assert_eq!(
            dominant(&[wait(1, false, Some(10)), wait(2, false, Some(20))]),
            Some(2)
        );
        assert_eq!(
            dominant(&[wait(1, true, None), wait(2, false, Some(20))]),
            Some(1)
        );
    }

    #[test]
    fn every_kind_of_effect_that_calls_github_has_its_class() {
        for (kind, class) in [
            ("status_comment", Some(OperationClass::RunStatusComment)),
            ("add_label", Some(OperationClass::IssueLabelTransition)),
            ("remove_label", Some(OperationClass::IssueLabelTransition)),
            (
                "create_comment",
                Some(OperationClass::RepositoryProviderCall),
            ),
            ("add_reaction", Some(OperationClass::RepositoryProviderCall)),
            ("stop_run", None),
        ] {
            assert_eq!(OperationClass::of_effect(kind), class, "{kind}");
        }
    }
}
