//! Comments under a label that was taken back (L-76, L-77, L-86) and under a blocked next step (L-101).

use crate::policy::Locale;
use crate::stages::spelled;

spelled!(
    /// `reason` of `label.rejected` that people cause (L-19).
    LabelRejection {
        /// L-76.
        StateApprovalNotPermitted = "state_approval_not_permitted",
        /// L-77.
        NeedLabelOpen = "need_label_open",
        /// L-77.
        PreReviewMissing = "pre_review_missing",
        /// L-86.
        NeedRoleEvidenceMissing = "need_role_evidence_missing",
    }
);

/// The comment that explains why a label was taken back or put back.
pub fn label_rejection(rejection: LabelRejection, label: &str, locale: Locale) -> String {
    let (what, remedy) = match (locale, rejection) {
        (Locale::En, LabelRejection::StateApprovalNotPermitted) => (
            "Only an approver may accept a stage, so the label was removed.",
            "Let a project administrator, a platform administrator or the platform owner set it.",
        ),
        (Locale::En, LabelRejection::NeedLabelOpen) => (
            "A `need:*` label is still open, so the stage cannot be accepted yet.",
            "Answer what is asked, remove the `need:*` labels and accept again.",
        ),
        (Locale::En, LabelRejection::PreReviewMissing) => (
            "The newest commit of the pull request has no pre-review.",
            "Set `need:reviewer` on the pull request or let another person review it, then accept again.",
        ),
        (Locale::En, LabelRejection::NeedRoleEvidenceMissing) => (
            "The label was removed without any answer, so it was set again.",
            "Answer in a comment or a review, then remove the label.",
        ),
        (Locale::Ru, LabelRejection::StateApprovalNotPermitted) => (
            "Принять этап может только тот, кто уполномочен, поэтому метка снята.",
            "Пусть её поставит администратор проекта, администратор платформы или владелец платформы.",
        ),
        (Locale::Ru, LabelRejection::NeedLabelOpen) => (
            "Ещё открыта метка `need:*`, поэтому принять этап пока нельзя.",
            "Ответьте на вопрос, снимите метки `need:*` и примите этап снова.",
        ),
        (Locale::Ru, LabelRejection::PreReviewMissing) => (
            "Последний коммит pull request никто не проверил.",
            "Поставьте `need:reviewer` на pull request или пусть его проверит другой человек, затем примите этап снова.",
        ),
        (Locale::Ru, LabelRejection::NeedRoleEvidenceMissing) => (
            "Метка снята без ответа, поэтому она возвращена.",
            "Ответьте комментарием или ревью, затем снимите метку.",
        ),
    };
    let (heading, todo, name, code) = match locale {
        Locale::En => (
            "The label was not accepted",
            "What to do",
            "Label",
            "Reason code",
        ),
        Locale::Ru => ("Метка не принята", "Что делать", "Метка", "Код причины"),
    };
    format!(
        "### {heading}\n\n{what}\n\n**{todo}:** {remedy}\n\n- {name}: `{label}`\n- {code}: `{rejection}`"
    )
}

/// The comment when it is unclear which stage a next step leaves (L-101).
pub fn next_step_blocked(conflicting_labels: &[String], locale: Locale) -> String {
    let labels: Vec<String> = conflicting_labels
        .iter()
        .map(|label| format!("`{label}`"))
        .collect();
    let labels = labels.join(", ");
    match (locale, labels.is_empty()) {
        (Locale::En, false) => format!(
            "### The next step was not taken\n\nThe Issue bears more than one trigger label: {labels}.\n\n**What to do:** leave one of them and choose the step again."
        ),
        (Locale::En, true) => "### The next step was not taken\n\nThe Issue has no finished stage yet.\n\n**What to do:** set the label of the stage to begin with.".to_owned(),
        (Locale::Ru, false) => format!(
            "### Следующий шаг не сделан\n\nНа Issue стоит больше одной триггерной метки: {labels}.\n\n**Что делать:** оставьте одну из них и выберите шаг снова."
        ),
        (Locale::Ru, true) => "### Следующий шаг не сделан\n\nУ Issue ещё нет законченного этапа.\n\n**Что делать:** поставьте метку этапа, с которого начать.".to_owned(),
    }
}
