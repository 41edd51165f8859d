//! Launch profiles: which part of the main path an Issue walks (L-94 to L-96).
//!
//! The flow targets of the matrix L-92 are computed from the profiles, so that a stage which a risk adds to the
//! shortened path shows in the offered steps by itself.

use std::collections::BTreeSet;

use crate::next_steps::DisplayVariant;
use crate::stages::{MAIN_PATH, Stage, spelled};

spelled!(
    /// How much of the main path an Issue walks; a later one is longer (L-94, L-95).
    LaunchProfile {
        /// Intake, then straight to the plan.
        QuickFix = "quick-fix",
        /// With requirements and design.
        Feature = "feature",
        /// The whole main path.
        NewService = "new-service",
    }
);

spelled!(
    /// A risk that a run report or a person names (L-96).
    RiskSignal {
        /// Other services feel it.
        CrossServiceImpact = "cross_service_impact",
        /// Something outside is called for the first time.
        NewIntegration = "new_integration",
        /// The schema of a database changes.
        DbMigration = "db_migration",
        /// Who may do what changes.
        RbacPolicyChange = "rbac_policy_change",
        /// Borders between parts move.
        ArchBoundaryChange = "arch_boundary_change",
        /// Another load, latency or availability is asked for.
        NfrChange = "nfr_change",
        /// The product goes somewhere else.
        ProductStrategyChange = "product_strategy_change",
    }
);

impl RiskSignal {
    /// The stage that the signal adds to the shortened path.
    pub fn added_stage(self) -> Option<Stage> {
        match self {
            RiskSignal::ArchBoundaryChange | RiskSignal::NfrChange => Some(Stage::Arch),
            RiskSignal::ProductStrategyChange => Some(Stage::Vision),
            RiskSignal::CrossServiceImpact
            | RiskSignal::NewIntegration
            | RiskSignal::DbMigration
            | RiskSignal::RbacPolicyChange => None,
        }
    }
}

impl LaunchProfile {
    /// The profile that a step chooses; a combined variant keeps the one there is (L-95).
    pub fn chosen_by(variant: DisplayVariant) -> Option<Self> {
        match variant {
            DisplayVariant::FullFlow | DisplayVariant::RestartFull => {
                Some(LaunchProfile::NewService)
            }
            DisplayVariant::ShortenedFlow | DisplayVariant::RestartShortened => {
                Some(LaunchProfile::Feature)
            }
            DisplayVariant::VeryShortFlow | DisplayVariant::RestartVeryShort => {
                Some(LaunchProfile::QuickFix)
            }
            _ => None,
        }
    }

    /// Whether a stage of the main path belongs to the profile (L-94).
    pub fn includes(self, stage: Stage, signals: &BTreeSet<RiskSignal>) -> bool {
        let added = signals
            .iter()
            .any(|signal| signal.added_stage() == Some(stage));
        match self {
            LaunchProfile::NewService => true,
            LaunchProfile::Feature => !matches!(stage, Stage::Vision | Stage::Arch) || added,
            LaunchProfile::QuickFix => !matches!(
                stage,
                Stage::Vision | Stage::Prd | Stage::Arch | Stage::Design
            ),
        }
    }

    fn next_after(self, position: usize, signals: &BTreeSet<RiskSignal>) -> Option<Stage> {
        MAIN_PATH
            .into_iter()
            .skip(position + 1)
            .find(|stage| self.includes(*stage, signals))
    }
}

/// What follows a stage of the main path, one target per profile, equal ones merged (L-94); nothing off the path.
pub fn flow_targets(stage: Stage, signals: &BTreeSet<RiskSignal>) -> Vec<(Stage, DisplayVariant)> {
    let Some(position) = stage.main_path_position() else {
        return Vec::new();
    };
    let next = |profile: LaunchProfile| profile.next_after(position, signals);
    let longest_first = [
        next(LaunchProfile::NewService),
        next(LaunchProfile::Feature),
        next(LaunchProfile::QuickFix),
    ];
    let mut targets: Vec<(Stage, DisplayVariant)> = Vec::new();
    for target in longest_first.into_iter().flatten() {
        if targets.iter().all(|(known, _)| *known != target) {
            let sharing = longest_first.map(|other| other == Some(target));
            targets.push((target, variant_of(sharing)));
        }
    }
    targets
}

/// How a target is shown that the whole, the shortened and the shortest path share or not.
fn variant_of(sharing: [bool; 3]) -> DisplayVariant {
    match sharing {
        [true, true, true] => DisplayVariant::AllFlows,
        [true, true, false] => DisplayVariant::FullOrShortenedFlow,
        [true, false, true] => DisplayVariant::FullOrVeryShortFlow,
        [false, true, true] => DisplayVariant::ShortenedOrVeryShortFlow,
        [true, false, false] => DisplayVariant::FullFlow,
        [false, true, false] => DisplayVariant::ShortenedFlow,
        [false, false, _] => DisplayVariant::VeryShortFlow,
    }
}

/// What the platform remembers of the path of an Issue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IssueFlow {
    /// Unset until a step chooses one (L-95).
    pub profile: Option<LaunchProfile>,
    /// Risks named so far.
    pub signals: BTreeSet<RiskSignal>,
}

impl IssueFlow {
    /// The flow once these risks are known as well: longer than the shortest path, whatever was chosen (L-96).
    pub fn escalated(&self, named: &BTreeSet<RiskSignal>) -> Self {
        let signals: BTreeSet<RiskSignal> = self.signals.union(named).copied().collect();
        let profile = if named.is_empty() {
            self.profile
        } else {
            self.profile.max(Some(LaunchProfile::Feature))
        };
        Self { profile, signals }
    }

    /// Whether the shortest path is closed: a risk is known, and no owner has gone back since (L-96).
    pub fn hides_very_short(&self) -> bool {
        !self.signals.is_empty() && self.profile != Some(LaunchProfile::QuickFix)
    }
}
