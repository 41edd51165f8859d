//! The comment under a refused trigger (L-42).

use crate::decide::IgnoreReason;
use crate::events::ThreadKind;
use crate::policy::Locale;

/// What the comment is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The one reason.
    pub reason: &'a IgnoreReason,
    /// Where the comment stands.
    pub thread_kind: ThreadKind,
    /// Label of the delivery, if any.
    pub trigger_label: Option<&'a str>,
    /// Sorted.
    pub conflicting_labels: &'a [String],
    /// Sorted.
    pub suggested_labels: &'a [String],
}

/// Heading, reason, what to do, labels, thread kind and the literal reason code.
pub fn refusal(refusal: &Refusal<'_>, locale: Locale) -> String {
    let (what, remedy) = sentences(refusal.reason, locale);
    let words = words(locale);
    let mut lines = vec![
        format!("### {}", words.heading),
        String::new(),
        what,
        String::new(),
    ];
    lines.push(format!("**{}:** {remedy}", words.what_to_do));
    lines.push(String::new());
    if let Some(label) = refusal.trigger_label {
        lines.push(format!("- {}: `{label}`", words.label));
    }
    lines.extend(list(words.conflicting, refusal.conflicting_labels));
    lines.extend(list(words.suggested, refusal.suggested_labels));
    let thread = match refusal.thread_kind {
        ThreadKind::Issue => words.issue,
        ThreadKind::PullRequest => words.pull_request,
    };
    lines.push(format!("- {}: {thread}", words.thread));
    lines.push(format!("- {}: `{}`", words.code, refusal.reason));
    lines.join("\n")
}

fn list(title: &str, labels: &[String]) -> Option<String> {
    let quoted: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    (!quoted.is_empty()).then(|| format!("- {title}: {}", quoted.join(", ")))
}

struct Words {
    heading: &'static str,
    what_to_do: &'static str,
    label: &'static str,
    conflicting: &'static str,
    suggested: &'static str,
    thread: &'static str,
    issue: &'static str,
    pull_request: &'static str,
    code: &'static str,
}

fn words(locale: Locale) -> Words {
    match locale {
        Locale::En => Words {
            heading: "The run was not started",
            what_to_do: "What to do",
            label: "Label",
            conflicting: "Conflicting labels",
            suggested: "Suggested labels",
            thread: "Thread",
            issue: "Issue",
            pull_request: "pull request",
            code: "Reason code",
        },
        Locale::Ru => Words {
            heading: "Запуск не начат",
            what_to_do: "Что делать",
            label: "Метка",
            conflicting: "Конфликтующие метки",
            suggested: "Подходящие метки",
            thread: "Тред",
            issue: "Issue",
            pull_request: "pull request",
            code: "Код причины",
        },
    }
}

fn sentences(reason: &IgnoreReason, locale: Locale) -> (String, String) {
    let (what, remedy) = match locale {
        Locale::En => english(reason),
        Locale::Ru => russian(reason),
    };
    (what.to_owned(), remedy.to_owned())
}

fn english(reason: &IgnoreReason) -> (&'static str, &'static str) {
    const AGAIN: &str = "Remove the cause, then remove the label and set it again.";
    match reason {
        IgnoreReason::IssueTriggerLabelConflict => (
            "The Issue bears more than one trigger label, so it is unclear which stage is meant.",
            "Leave one trigger label: remove the others, then remove that one and set it again.",
        ),
        IgnoreReason::DiscussionModeTriggerLabelConflict => (
            "The Issue bears more than one trigger label, so it is unclear which agent should discuss it.",
            "Leave at most one trigger label, then remove the discussion label and set it again.",
        ),
        IgnoreReason::RepositoryNotBoundForIssueLabel => (
            "This repository is not bound to a project.",
            "Ask a platform administrator to bind the repository, then set the label again.",
        ),
        IgnoreReason::SenderTypeNotPermitted(_) => (
            "Only people may start runs; this account is none.",
            "Let a member of the project set the label.",
        ),
        IgnoreReason::SenderLoginMissing => (
            "The delivery does not say who sent it.",
            "Let a member of the project set the label again.",
        ),
        IgnoreReason::SenderNotAllowed => (
            "The sender is not known to the platform.",
            "Ask a platform administrator to add the user, or let a member of the project set the label.",
        ),
        IgnoreReason::SenderNotProjectMember => (
            "The sender is not a member of the project.",
            "Ask a project administrator for membership, or let a member set the label.",
        ),
        IgnoreReason::SenderRoleMissing | IgnoreReason::SenderRoleNotPermitted(_) => (
            "The sender's role in the project does not allow to start runs.",
            "Ask a project administrator for the role `read_write`, or let somebody with that role set the label.",
        ),
        IgnoreReason::PullRequestReviewStageAmbiguous => (
            "Changes were requested, but more than one stage could be meant.",
            "Leave the label of one stage on the pull request and submit the review again.",
        ),
        IgnoreReason::PullRequestReviewStageNotResolved => (
            "Changes were requested, but no stage of this pull request is known.",
            "Set the label of the stage on the pull request and submit the review again.",
        ),
        IgnoreReason::IssueTriggerCandidateNotFound => (
            "This stage continues an open candidate, and none was found for the Issue.",
            "Make a candidate with the development stage first, then remove the label and set it again.",
        ),
        IgnoreReason::RepositoryPreflightFailed => (
            "The last check of this repository failed, so no run is started.",
            "Mend what the preflight report names, run the check again, then remove the label and set it again.",
        ),
        IgnoreReason::IssueClosed => (
            "The Issue is closed, and this stage needs an open one.",
            "Reopen the Issue, then remove the label and set it again.",
        ),
        IgnoreReason::IssueActiveRunExists => (
            "A run of this Issue is still active.",
            "Wait until it ends or cancel it, then remove the label and set it again.",
        ),
        IgnoreReason::AgentNotConfigured => (
            "No active agent is configured for this stage.",
            "Ask a platform administrator to activate the agent, then remove the label and set it again.",
        ),
        IgnoreReason::StageTransitionNotAllowed => (
            "This stage does not follow the current stage of the Issue.",
            "Choose one of the next steps, or let an approver set the label.",
        ),
        IgnoreReason::StageGateNotPassed => (
            "The current stage is not accepted yet.",
            "Let an approver accept the stage, then remove the label and set it again.",
        ),
        IgnoreReason::IssueStateBlocked => ("The work is marked as blocked.", AGAIN),
        IgnoreReason::IssueStateAbandoned => ("The work is marked as abandoned.", AGAIN),
        IgnoreReason::IssueNeedInputOpen => ("An answer of the owner is still awaited.", AGAIN),
        IgnoreReason::IssueEventNotTriggerLabel
        | IgnoreReason::PushMainVersionsAutobumped
        | IgnoreReason::RepositoryNotBoundForPushMain => ("This event starts no run.", "Nothing."),
    }
}

fn russian(reason: &IgnoreReason) -> (&'static str, &'static str) {
    const AGAIN: &str = "Устраните причину, затем снимите метку и поставьте её снова.";
    match reason {
        IgnoreReason::IssueTriggerLabelConflict => (
            "На Issue стоит больше одной триггерной метки, поэтому неясно, какой этап нужен.",
            "Оставьте одну триггерную метку: снимите остальные, затем снимите её и поставьте снова.",
        ),
        IgnoreReason::DiscussionModeTriggerLabelConflict => (
            "На Issue стоит больше одной триггерной метки, поэтому неясно, какой агент должен вести обсуждение.",
            "Оставьте не больше одной триггерной метки, затем снимите метку обсуждения и поставьте её снова.",
        ),
        IgnoreReason::RepositoryNotBoundForIssueLabel => (
            "Этот репозиторий не привязан к проекту.",
            "Попросите администратора платформы привязать репозиторий и поставьте метку снова.",
        ),
        IgnoreReason::SenderTypeNotPermitted(_) => (
            "Запуски начинают только люди, а это не учётная запись человека.",
            "Метку должен поставить участник проекта.",
        ),
        IgnoreReason::SenderLoginMissing => (
            "В событии не указано, кто его отправил.",
            "Пусть участник проекта поставит метку снова.",
        ),
        IgnoreReason::SenderNotAllowed => (
            "Отправитель не известен платформе.",
            "Попросите администратора платформы добавить пользователя или пусть метку поставит участник проекта.",
        ),
        IgnoreReason::SenderNotProjectMember => (
            "Отправитель не участник проекта.",
            "Попросите администратора проекта добавить вас или пусть метку поставит участник проекта.",
        ),
        IgnoreReason::SenderRoleMissing | IgnoreReason::SenderRoleNotPermitted(_) => (
            "Роль отправителя в проекте не позволяет начинать запуски.",
            "Попросите администратора проекта дать роль `read_write` или пусть метку поставит тот, у кого она есть.",
        ),
        IgnoreReason::PullRequestReviewStageAmbiguous => (
            "Запрошены правки, но подходит больше одного этапа.",
            "Оставьте на pull request метку одного этапа и отправьте ревью снова.",
        ),
        IgnoreReason::PullRequestReviewStageNotResolved => (
            "Запрошены правки, но этап этого pull request неизвестен.",
            "Поставьте на pull request метку этапа и отправьте ревью снова.",
        ),
        IgnoreReason::IssueTriggerCandidateNotFound => (
            "Этот этап продолжает открытого кандидата, а у Issue его нет.",
            "Сначала создайте кандидата этапом разработки, затем снимите метку и поставьте её снова.",
        ),
        IgnoreReason::RepositoryPreflightFailed => (
            "Последняя проверка репозитория не пройдена, поэтому запуск не начат.",
            "Исправьте то, что назвал отчёт проверки, повторите её, затем снимите метку и поставьте её снова.",
        ),
        IgnoreReason::IssueClosed => (
            "Issue закрыт, а этому этапу нужен открытый.",
            "Откройте Issue, затем снимите метку и поставьте её снова.",
        ),
        IgnoreReason::IssueActiveRunExists => (
            "Запуск по этому Issue ещё идёт.",
            "Дождитесь его конца или отмените его, затем снимите метку и поставьте её снова.",
        ),
        IgnoreReason::AgentNotConfigured => (
            "Для этого этапа нет активного агента.",
            "Попросите администратора платформы включить агента, затем снимите метку и поставьте её снова.",
        ),
        IgnoreReason::StageTransitionNotAllowed => (
            "Этот этап не следует за текущим этапом Issue.",
            "Выберите один из следующих шагов или пусть метку поставит тот, кто принимает этапы.",
        ),
        IgnoreReason::StageGateNotPassed => (
            "Текущий этап ещё не принят.",
            "Пусть этап примут, затем снимите метку и поставьте её снова.",
        ),
        IgnoreReason::IssueStateBlocked => ("Работа отмечена как заблокированная.", AGAIN),
        IgnoreReason::IssueStateAbandoned => ("Работа отмечена как прекращённая.", AGAIN),
        IgnoreReason::IssueNeedInputOpen => ("Ещё нет ответа владельца.", AGAIN),
        IgnoreReason::IssueEventNotTriggerLabel
        | IgnoreReason::PushMainVersionsAutobumped
        | IgnoreReason::RepositoryNotBoundForPushMain => {
            ("Это событие не начинает запуск.", "Ничего.")
        }
    }
}
