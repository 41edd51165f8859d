//! Who must agree to what (3.1).

use crate::labels::{Catalogue, CatalogueLabel};
use crate::snapshot::UserFacts;
use crate::stages::{Stage, TriggerKind, spelled};
use crate::tools::ToolRun;

spelled!(
    /// Whose word an operation needs.
    ApprovalMode {
        /// Nobody's; such a call makes no request.
        None = "none",
        /// That of somebody who administers the project, too.
        Delegated = "delegated",
        /// That of the platform's owner or an admin; in production the owner's.
        Owner = "owner",
    }
);

/// What an agent asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Reads, status, labels without a gate, `describe`, `dry_run` (G-67).
    Ungated,
    /// `secret.sync.github_k8s` (G-68).
    SecretSync,
    /// `database.lifecycle` with `create` (G-69).
    DatabaseCreate,
    /// `database.lifecycle` with `delete` (G-69).
    DatabaseDelete,
    /// `owner.feedback.request` (G-70).
    OwnerFeedback,
    /// A label that starts something (G-35, G-70).
    GatedLabel,
}

/// The environment names that count as production (3.1).
const PRODUCTION: [&str; 2] = ["prod", "production"];

/// Whether an environment is production, whatever its case.
pub fn is_production(environment: Option<&str>) -> bool {
    environment.is_some_and(|name| {
        PRODUCTION
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    })
}

/// The environment that a proposed label acts on, as far as it is production (3.1).
pub fn environment_of_label(catalogue: &Catalogue, label: &str) -> Option<&'static str> {
    match catalogue.classify(label)? {
        CatalogueLabel::Trigger(kind) => kind
            .stage()
            .filter(|stage| {
                matches!(
                    stage,
                    Stage::Release | Stage::Postdeploy | Stage::Ops | Stage::AiRepair
                )
            })
            .map(|_| "production"),
        _ => None,
    }
}

/// The matrix: G-67 to G-70.
pub fn approval_mode(operation: Operation, run: &ToolRun, production: bool) -> ApprovalMode {
    let operates = run.agent_key == "sre"
        && matches!(
            run.trigger_kind,
            TriggerKind::Work(Stage::Ops) | TriggerKind::Revise(Stage::Ops)
        );
    let revises = run.trigger_kind == TriggerKind::Revise(Stage::Dev);
    let may_delegate = run.runtime_mode == "full-env" && !production;
    let delegated_if = |condition: bool| {
        if condition && may_delegate {
            ApprovalMode::Delegated
        } else {
            ApprovalMode::Owner
        }
    };
    match operation {
        Operation::Ungated => ApprovalMode::None,
        Operation::SecretSync => delegated_if(revises || operates),
        Operation::DatabaseCreate => delegated_if(operates),
        Operation::DatabaseDelete | Operation::OwnerFeedback | Operation::GatedLabel => {
            ApprovalMode::Owner
        }
    }
}

/// Whether a person decides requests of this mode (G-71).
pub fn may_decide(mode: ApprovalMode, production: bool, person: &UserFacts) -> bool {
    match (mode, production) {
        (ApprovalMode::None, _) => false,
        (_, true) => person.is_platform_owner,
        (ApprovalMode::Owner, false) => person.is_platform_owner || person.is_platform_admin,
        (ApprovalMode::Delegated, false) => person.is_approver(),
    }
}

/// Who could decide at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deciders {
    /// The platform has an owner.
    pub owner: bool,
    /// The platform has an admin.
    pub admin: bool,
    /// The project has an `admin`.
    pub project_admin: bool,
}

impl Deciders {
    /// Whether anybody could decide a request of this mode (G-73).
    pub fn suffice(self, mode: ApprovalMode, production: bool) -> bool {
        match (mode, production) {
            (ApprovalMode::None, _) => true,
            (_, true) => self.owner,
            (ApprovalMode::Owner, false) => self.owner || self.admin,
            (ApprovalMode::Delegated, false) => self.owner || self.admin || self.project_admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::UserId;

    fn run(agent: &str, kind: TriggerKind, mode: &str) -> ToolRun {
        ToolRun {
            agent_key: agent.to_owned(),
            trigger_kind: kind,
            discussion: false,
            runtime_mode: mode.to_owned(),
        }
    }

    #[test]
    fn the_matrix_holds_cell_by_cell() {
        use ApprovalMode::{Delegated, None, Owner};
        use Operation::{
            DatabaseCreate, DatabaseDelete, GatedLabel, OwnerFeedback, SecretSync, Ungated,
        };
        let dev = || run("dev", TriggerKind::Work(Stage::Dev), "full-env");
        let revise = || run("dev", TriggerKind::Revise(Stage::Dev), "full-env");
        let ops = || run("sre", TriggerKind::Work(Stage::Ops), "full-env");
        let ops_revise = || run("sre", TriggerKind::Revise(Stage::Ops), "full-env");
        let dev_ops = || run("dev", TriggerKind::Work(Stage::Ops), "full-env");
        let code_only = || run("sre", TriggerKind::Work(Stage::Ops), "code-only");
        let repair = || run("sre", TriggerKind::Work(Stage::AiRepair), "code-only");
        // Operation, run, outside of production, in production.
        let cases = [
            (Ungated, dev(), None, None),
            (Ungated, repair(), None, None),
            (SecretSync, dev(), Owner, Owner),
            (SecretSync, revise(), Delegated, Owner),
            (SecretSync, ops(), Delegated, Owner),
            (SecretSync, ops_revise(), Delegated, Owner),
            (SecretSync, dev_ops(), Owner, Owner),
            (SecretSync, code_only(), Owner, Owner),
            (SecretSync, repair(), Owner, Owner),
            (DatabaseCreate, dev(), Owner, Owner),
            (DatabaseCreate, revise(), Owner, Owner),
            (DatabaseCreate, ops(), Delegated, Owner),
            (DatabaseCreate, ops_revise(), Delegated, Owner),
            (DatabaseCreate, repair(), Owner, Owner),
            (DatabaseDelete, dev(), Owner, Owner),
            (DatabaseDelete, ops(), Owner, Owner),
            (OwnerFeedback, dev(), Owner, Owner),
            (OwnerFeedback, ops(), Owner, Owner),
            (GatedLabel, dev(), Owner, Owner),
            (GatedLabel, ops(), Owner, Owner),
        ];
        for (operation, run, outside, inside) in cases {
            assert_eq!(
                approval_mode(operation, &run, false),
                outside,
                "{operation:?} {run:?}"
            );
            assert_eq!(
                approval_mode(operation, &run, true),
                inside,
                "{operation:?} {run:?} in production"
            );
        }
    }

    #[test]
    fn who_decides_depends_on_mode_and_environment() {
        let person = |owner, admin, role: Option<&str>| UserFacts {
            id: UserId(Uuid::nil()),
            login: "person".to_owned(),
            is_platform_owner: owner,
            is_platform_admin: admin,
            project_role: role.map(str::to_owned),
        };
        // Person; mode owner, mode delegated, production.
        let cases = [
            (person(true, true, None), true, true, true),
            (person(false, true, None), true, true, false),
            (person(false, false, Some("admin")), false, true, false),
            (
                person(false, false, Some("read_write")),
                false,
                false,
                false,
            ),
            (person(false, false, Some("read")), false, false, false),
            (person(false, false, None), false, false, false),
        ];
        for (person, owner, delegated, production) in cases {
            let asked = |mode, production| may_decide(mode, production, &person);
            assert_eq!(asked(ApprovalMode::Owner, false), owner, "{person:?}");
            assert_eq!(
                asked(ApprovalMode::Delegated, false),
                delegated,
                "{person:?}"
            );
            assert_eq!(asked(ApprovalMode::Owner, true), production, "{person:?}");
            assert_eq!(
                asked(ApprovalMode::Delegated, true),
                production,
                "{person:?}"
            );
            assert!(!asked(ApprovalMode::None, false), "{person:?}");
        }
    }

    #[test]
    fn somebody_must_be_able_to_decide() {
        let project_admin = Deciders {
            project_admin: true,
            ..Deciders::default()
        };
        let admin = Deciders {
            admin: true,
            ..Deciders::default()
        };
        let owner = Deciders {
            owner: true,
            ..Deciders::default()
        };
        let cases = [
            (Deciders::default(), [false, false, false]),
            (project_admin, [false, true, false]),
            (admin, [true, true, false]),
            (owner, [true, true, true]),
        ];
        for (deciders, [of_owner, delegated, production]) in cases {
            assert_eq!(deciders.suffice(ApprovalMode::Owner, false), of_owner);
            assert_eq!(deciders.suffice(ApprovalMode::Delegated, false), delegated);
            assert_eq!(deciders.suffice(ApprovalMode::Owner, true), production);
        }
    }

    #[test]
    fn labels_that_act_on_production_are_known() {
        let catalogue = Catalogue::default();
        for label in ["run:release", "run:postdeploy", "run:ops", "run:ai-repair"] {
            let environment = environment_of_label(&catalogue, label);
            assert!(is_production(environment), "{label}");
        }
        for label in ["run:qa", "run:dev", "mode:discussion", "need:reviewer", "x"] {
            assert_eq!(environment_of_label(&catalogue, label), None, "{label}");
        }
        assert!(is_production(Some("PROD")) && !is_production(Some("ai-staging")));
        assert!(!is_production(None));
    }
}
