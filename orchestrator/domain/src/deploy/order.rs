//! In which order the parts of a stack are applied.

/// Groups when the file names none (runtime 4.1).
pub const DEFAULT_DEPLOY_ORDER: [&str; 5] =
    ["stateful", "migrations", "internal", "edge", "frontend"];
/// Group of a service that names none.
pub const DEFAULT_GROUP: &str = "internal";

/// Which list of the file a part stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitRole {
    /// Comes before every service.
    Infrastructure,
    /// Comes with its group.
    Service,
}

/// A part of the stack: a service, or what services stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Unique name.
    pub name: String,
    /// Its list.
    pub role: UnitRole,
    /// Group of a service.
    pub group: String,
    /// Names of parts that must be ready before it.
    pub depends_on: Vec<String>,
    /// Whether it is applied at all; as a dependency a disabled part counts as met.
    pub enabled: bool,
}

/// Why there is no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Two parts have one name.
    #[error("{0:?} is the name of two parts of the stack")]
    Duplicate(String),
    /// No part has this name.
    #[error("{unit:?} depends on {dependency:?}, which is no part of the stack")]
    UnknownDependency {
        /// Who depends.
        unit: String,
        /// On whom.
        dependency: String,
    },
    /// They wait for each other, or for a later group.
    #[error("these wait for each other or for a later group: {}", .0.join(", "))]
    Deadlock(Vec<String>),
}

/// Indices of the enabled units, each after all that it depends on.
///
/// # Errors
/// When a name is not unique or not known, or nothing can go first.
pub fn apply_order(units: &[Unit], deploy_order: &[String]) -> Result<Vec<usize>, OrderError> {
    for (index, unit) in units.iter().enumerate() {
        if units[..index].iter().any(|other| other.name == unit.name) {
            return Err(OrderError::Duplicate(unit.name.clone()));
        }
        for dependency in &unit.depends_on {
            if !units.iter().any(|other| other.name == *dependency) {
                return Err(OrderError::UnknownDependency {
                    unit: unit.name.clone(),
                    dependency: dependency.clone(),
                });
            }
        }
    }
    let mut order = Vec::new();
    for stage in stages(units, deploy_order) {
        let mut left: Vec<usize> = (0..units.len())
            .filter(|index| units[*index].enabled && stage.holds(&units[*index]))
            .collect();
        while !left.is_empty() {
            let met = |name: &String| {
                units
                    .iter()
                    .position(|unit| unit.name == *name)
                    .is_some_and(|index| !units[index].enabled || order.contains(&index))
            };
            let Some(next) = left
                .iter()
                .position(|index| units[*index].depends_on.iter().all(met))
            else {
                let names = left.iter().map(|index| units[*index].name.clone());
                return Err(OrderError::Deadlock(names.collect()));
            };
            order.push(left.remove(next));
        }
    }
    Ok(order)
}

enum Stage {
    Infrastructure,
    Group(String),
}

impl Stage {
    fn holds(&self, unit: &Unit) -> bool {
        match self {
            Self::Infrastructure => unit.role == UnitRole::Infrastructure,
            Self::Group(group) => unit.role == UnitRole::Service && unit.group == *group,
        }
    }
}

/// Infrastructure, then the groups as listed, then the others by name.
fn stages(units: &[Unit], deploy_order: &[String]) -> Vec<Stage> {
    let mut others: Vec<String> = units
        .iter()
        .filter(|unit| unit.role == UnitRole::Service && !deploy_order.contains(&unit.group))
        .map(|unit| unit.group.clone())
        .collect();
    others.sort();
    others.dedup();
    let groups = deploy_order.iter().cloned().chain(others);
    std::iter::once(Stage::Infrastructure)
        .chain(groups.map(Stage::Group))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn unit(name: &str, group: &str, depends_on: &[&str]) -> Unit {
        Unit {
            name: name.to_owned(),
            role: if group.is_empty() {
                UnitRole::Infrastructure
            } else {
                UnitRole::Service
            },
            group: group.to_owned(),
            depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
            enabled: true,
        }
    }

    fn names(units: &[Unit]) -> Result<String, OrderError> {
        let order = apply_order(units, &DEFAULT_DEPLOY_ORDER.map(str::to_owned))?;
        let names: Vec<&str> = order
            .into_iter()
            .map(|index| units[index].name.as_str())
            .collect();
        Ok(names.join(" "))
    }

    #[test]
    fn infrastructure_then_groups_then_others_by_name_and_dependencies_first() {
        let units = [
            unit("web", "frontend", &["api"]),
            unit("zoo", "zebra", &[]),
            unit("ant", "aardvark", &[]),
            unit("api", "internal", &["store"]),
            unit("store", "internal", &["cache"]),
            unit("migrate", "migrations", &["db"]),
            unit("db", "stateful", &[]),
            unit("cache", "", &["disk"]),
            unit("disk", "", &[]),
        ];
        assert_eq!(
            names(&units).unwrap(),
            "disk cache db migrate store api web ant zoo"
        );
    }

    #[test]
    fn a_disabled_dependency_counts_as_met() {
        let mut units = [
            unit("api", "internal", &["web"]),
            unit("web", "frontend", &[]),
        ];
        assert_eq!(
            names(&units),
            Err(OrderError::Deadlock(vec!["api".to_owned()]))
        );
        units[1].enabled = false;
        assert_eq!(names(&units).unwrap(), "api");
    }

    #[test]
    fn what_cannot_be_ordered_is_named() {
        let twins = [
            unit("api", "internal", &["web"]),
            unit("web", "internal", &["api"]),
        ];
        assert_eq!(
            names(&twins).unwrap_err().to_string(),
            "these wait for each other or for a later group: api, web"
        );
        assert!(matches!(
            names(&[unit("a", "", &[]), unit("a", "edge", &[])]),
            Err(OrderError::Duplicate(name)) if name == "a"
        ));
        assert_eq!(
            names(&[unit("a", "edge", &["b"])]).unwrap_err().to_string(),
            "\"a\" depends on \"b\", which is no part of the stack"
        );
    }
}
