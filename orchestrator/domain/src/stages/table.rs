//! Table L-6: agent, mode, target, namespace and write scope of each stage.

use std::collections::BTreeMap;

use super::{Stage, TriggerKind};

/// Declares an enum whose values have one fixed spelling in JSON, SQL and text.
macro_rules! spelled {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// All values.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The fixed spelling.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// Reads the fixed spelling.
            pub fn from_text(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use spelled;

spelled!(
    /// The eight system agents.
    Role {
        /// Product manager.
        Pm = "pm",
        /// Solution architect.
        Sa = "sa",
        /// Engineering manager.
        Em = "em",
        /// Developer.
        Dev = "dev",
        /// Pre-reviewer of pull requests.
        Reviewer = "reviewer",
        /// Tester.
        Qa = "qa",
        /// Operations engineer.
        Sre = "sre",
        /// Knowledge manager.
        Km = "km",
    }
);

spelled!(
    /// Whether a run has a stack of its own in the cluster.
    RuntimeMode {
        /// Namespace, stack and source snapshot.
        FullEnv = "full-env",
        /// Only a checkout.
        CodeOnly = "code-only",
    }
);

spelled!(
    /// Who decided the mode of a run (L-7).
    ModeSource {
        /// A discussion is always code-only.
        DiscussionMode = "discussion_mode",
        /// A push to the default branch.
        PushMain = "push_main",
        /// `webhookRuntime.triggerModes` of services.yaml lists the kind.
        ServicesYaml = "services_yaml",
        /// `webhookRuntime.defaultMode` of services.yaml.
        ServicesYamlDefault = "services_yaml_default",
        /// The platform's own table.
        TriggerDefault = "trigger_default",
    }
);

spelled!(
    /// Environment a run works against.
    TargetEnv {
        /// A candidate of an agent.
        Ai = "ai",
        /// The default LIVE_ENV.
        Staging = "staging",
        /// LIVE_ENV where so configured.
        Production = "production",
    }
);

spelled!(
    /// Name of the access profile; the rights follow the agent's role (G-108 to G-112).
    AccessProfile {
        /// Works in a candidate namespace.
        Candidate = "candidate",
        /// Reads LIVE_ENV.
        ProductionReadonly = "production-readonly",
        /// Repairs LIVE_ENV with an account of its own (G-112).
        ProductionRepair = "production-repair",
        /// No cluster rights.
        None = "none",
    }
);

spelled!(
    /// What a run may change in the repository (L-9).
    WriteScope {
        /// Only paths ending in `.md`.
        MarkdownOnly = "markdown_only",
        /// Markdown, prompts and the runner image.
        SelfImproveOnly = "self_improve_only",
        /// No commit, no changed path.
        NoRepoChanges = "no_repo_changes",
        /// Read-only talk under the Issue.
        Discussion = "discussion",
        /// No check.
        Any = "any",
    }
);

/// Which namespace a stage works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceRule {
    /// The shared code-runs namespace.
    None,
    /// A namespace of its own.
    Managed,
    /// The candidate lineage if there is one, else a namespace of its own (L-65).
    LineageOrManaged,
    /// Only an existing candidate lineage (L-66).
    LineageRequired,
    /// LIVE_NS, which the platform neither made nor deletes.
    Live,
}

/// One row of table L-6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageContract {
    /// Agent that does the work.
    pub role: Role,
    /// Shipped mode.
    pub mode: RuntimeMode,
    /// Access profile in `full-env` mode.
    pub access: AccessProfile,
    /// Where it works.
    pub namespace: NamespaceRule,
    /// What it may change.
    pub write_scope: WriteScope,
}

/// The row of a stage in table L-6.
pub fn contract(stage: Stage) -> StageContract {
    use AccessProfile as Access;
    use RuntimeMode::{CodeOnly, FullEnv};
    let (role, mode, access, namespace, write_scope) = match stage {
        Stage::Intake | Stage::Vision | Stage::Prd => (
            Role::Pm,
            CodeOnly,
            Access::None,
            NamespaceRule::None,
            WriteScope::MarkdownOnly,
        ),
        Stage::Arch | Stage::Design => (
            Role::Sa,
            FullEnv,
            Access::Candidate,
            NamespaceRule::Managed,
            WriteScope::MarkdownOnly,
        ),
        Stage::Plan | Stage::Rethink => (
            Role::Em,
            FullEnv,
            Access::Candidate,
            NamespaceRule::Managed,
            WriteScope::MarkdownOnly,
        ),
        Stage::Dev => (
            Role::Dev,
            FullEnv,
            Access::Candidate,
            NamespaceRule::LineageOrManaged,
            WriteScope::Any,
        ),
        Stage::DocAudit => (
            Role::Km,
            CodeOnly,
            Access::None,
            NamespaceRule::None,
            WriteScope::MarkdownOnly,
        ),
        Stage::Qa => (
            Role::Qa,
            FullEnv,
            Access::Candidate,
            NamespaceRule::LineageRequired,
            WriteScope::MarkdownOnly,
        ),
        Stage::Release => (
            Role::Em,
            FullEnv,
            Access::Candidate,
            NamespaceRule::LineageRequired,
            WriteScope::MarkdownOnly,
        ),
        Stage::Postdeploy | Stage::Ops => (
            Role::Sre,
            FullEnv,
            Access::ProductionReadonly,
            NamespaceRule::Live,
            WriteScope::MarkdownOnly,
        ),
        Stage::SelfImprove => (
            Role::Km,
            CodeOnly,
            Access::None,
            NamespaceRule::None,
            WriteScope::SelfImproveOnly,
        ),
        Stage::AiRepair => (
            Role::Sre,
            CodeOnly,
            Access::ProductionRepair,
            NamespaceRule::Live,
            WriteScope::Any,
        ),
    };
    StageContract {
        role,
        mode,
        access,
        namespace,
        write_scope,
    }
}

/// Mode of a labelled stage-run and who decided it (L-7).
///
/// `modes` and `default` are the project's `webhookRuntime` of services.yaml, if any.
pub fn runtime_mode(
    kind: TriggerKind,
    modes: &BTreeMap<TriggerKind, RuntimeMode>,
    default: Option<RuntimeMode>,
) -> (RuntimeMode, ModeSource) {
    let Some(stage) = kind.stage() else {
        return (RuntimeMode::FullEnv, ModeSource::PushMain);
    };
    if stage == Stage::AiRepair {
        return (RuntimeMode::CodeOnly, ModeSource::TriggerDefault);
    }
    if let Some(mode) = modes.get(&kind) {
        return (*mode, ModeSource::ServicesYaml);
    }
    if let Some(mode) = default {
        return (mode, ModeSource::ServicesYamlDefault);
    }
    (contract(stage).mode, ModeSource::TriggerDefault)
}
