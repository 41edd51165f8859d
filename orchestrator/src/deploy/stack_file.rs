//! The stack that a services.yaml lists (runtime 4.1), checked as a whole before anything is written.
//!
//! What the platform cannot deploy yet is refused by name: a stack that comes up without a part of itself would look
//! like one that works.
use std::collections::BTreeMap;

use domain::deploy::{DEFAULT_DEPLOY_ORDER, DEFAULT_GROUP, Unit, UnitRole, apply_order};
use domain::stages::TargetEnv;
use serde::Deserialize;
use serde_yaml::Value;

use crate::services_yaml::{ServicesYaml, ServicesYamlError};

/// A stack in its order of application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFile {
    /// Project that its templates name.
    pub project: String,
    /// Versions by name.
    pub versions: BTreeMap<String, String>,
    /// What is applied, first things first.
    pub parts: Vec<StackPart>,
}

/// One part with its manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackPart {
    pub name: String,
    /// `infrastructure` or the group of a service.
    pub stage: String,
    /// Field path and path in the repository.
    pub manifests: Vec<(String, String)>,
}

/// Project of the platform itself, whose production namespace is fixed.
const PLATFORM_PROJECT: &str = "codex-k8s";
const PLATFORM_PRODUCTION: &str = "{{ .Project }}-prod";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    #[serde(rename = "kind")]
    _kind: Kind,
    metadata: Metadata,
    spec: Option<Spec>,
}

#[derive(Deserialize)]
enum ApiVersion {
    #[serde(rename = "codex-k8s.dev/v1alpha1")]
    V1Alpha1,
}

#[derive(Deserialize)]
enum Kind {
    ServiceStack,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    project: Option<String>,
    imports: Option<Value>,
    components: Option<Value>,
    environments: Option<BTreeMap<EnvironmentName, EnvironmentSection>>,
    #[serde(rename = "webhookRuntime")]
    _webhook_runtime: Option<Value>,
    versions: Option<BTreeMap<String, VersionSection>>,
    images: Option<Value>,
    infrastructure: Option<Vec<InfrastructureSection>>,
    services: Option<Vec<ServiceSection>>,
    orchestration: Option<OrchestrationSection>,
    #[serde(rename = "secretResolution")]
    _secret_resolution: Option<Value>,
    #[serde(rename = "projectDocs")]
    _project_docs: Option<Value>,
    #[serde(rename = "roleDocTemplates")]
    _role_doc_templates: Option<Value>,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum EnvironmentName {
    Production,
    Staging,
    Ai,
    AiRepair,
    Dev,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnvironmentSection {
    from: Option<EnvironmentName>,
    namespace_template: Option<String>,
    #[serde(rename = "domainTemplate")]
    _domain_template: Option<String>,
    #[serde(rename = "imagePullPolicy")]
    _image_pull_policy: Option<ImagePullPolicy>,
}

#[derive(Deserialize)]
enum ImagePullPolicy {
    Always,
    IfNotPresent,
    Never,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VersionSection {
    value: String,
    #[serde(rename = "bumpOn")]
    _bump_on: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InfrastructureSection {
    name: String,
    depends_on: Option<Vec<String>>,
    manifests: Option<Vec<ManifestSection>>,
    when: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceSection {
    name: String,
    depends_on: Option<Vec<String>>,
    manifests: Option<Vec<ManifestSection>>,
    when: Option<bool>,
    deploy_group: Option<String>,
    scope: Option<ServiceScope>,
    #[serde(rename = "codeUpdateStrategy")]
    _code_update_strategy: Option<CodeUpdateStrategy>,
    #[serde(rename = "use")]
    components: Option<Value>,
    health: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestSection {
    path: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum ServiceScope {
    Environment,
    InfrastructureSingleton,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CodeUpdateStrategy {
    HotReload,
    Rebuild,
    Restart,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrchestrationSection {
    deploy_order: Option<Vec<String>>,
}

impl StackFile {
    /// Reads and checks the whole file for one environment.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn read(file: &ServicesYaml, target_env: &str) -> Result<Self, ServicesYamlError> {
        let parsed: File =
            serde_path_to_error::deserialize(file.value().clone()).map_err(|error| {
                let field = error.path().to_string();
                invalid(field, error.into_inner().to_string())
            })?;
        file.webhook_runtime()?;
        let project_of = parsed.metadata.name;
        let spec = parsed.spec.unwrap_or_default();
        let project = spec.project.clone().unwrap_or(project_of);
        for (field, section) in [
            ("imports", &spec.imports),
            ("components", &spec.components),
            ("images", &spec.images),
        ] {
            supported(format!("spec.{field}"), section.as_ref())?;
        }
        let environments = spec.environments.unwrap_or_default();
        check_environments(&environments, &project)?;
        let infrastructure = spec.infrastructure.unwrap_or_default();
        let services = spec.services.unwrap_or_default();
        if !(infrastructure.is_empty() && services.is_empty()) {
            check_target(&environments, target_env)?;
        }
        let parts = infrastructure
            .into_iter()
            .enumerate()
            .map(|(index, section)| infrastructure_part(index, section))
            .chain(
                services
                    .into_iter()
                    .enumerate()
                    .map(|(index, section)| service_part(index, section, target_env)),
            )
            .collect::<Result<Vec<_>, _>>()?;
        let listed = spec.orchestration.and_then(|section| section.deploy_order);
        let deploy_order = listed.unwrap_or_else(|| DEFAULT_DEPLOY_ORDER.map(str::to_owned).into());
        let units: Vec<Unit> = parts.iter().map(|(unit, _)| unit.clone()).collect();
        let order = apply_order(&units, &deploy_order)
            .map_err(|error| invalid("spec.services", error.to_string()))?;
        Ok(Self {
            project,
            versions: spec
                .versions
                .unwrap_or_default()
                .into_iter()
                .map(|(name, version)| (name, version.value))
                .collect(),
            parts: order
                .into_iter()
                .map(|index| parts[index].1.clone())
                .collect(),
        })
    }
}

fn infrastructure_part(
    index: usize,
    section: InfrastructureSection,
) -> Result<(Unit, StackPart), ServicesYamlError> {
    let field = format!("spec.infrastructure[{index}]");
    let unit = Unit {
        name: section.name,
        role: UnitRole::Infrastructure,
        group: String::new(),
        depends_on: section.depends_on.unwrap_or_default(),
        enabled: section.when.unwrap_or(true),
    };
    part(&field, unit, section.manifests, "infrastructure".to_owned())
}

fn service_part(
    index: usize,
    section: ServiceSection,
    target_env: &str,
) -> Result<(Unit, StackPart), ServicesYamlError> {
    let field = format!("spec.services[{index}]");
    supported(format!("{field}.use"), section.components.as_ref())?;
    supported(format!("{field}.health"), section.health.as_ref())?;
    // what all slots share is applied in the project's own environment only.
    let elsewhere = section.scope == Some(ServiceScope::InfrastructureSingleton)
        && TargetEnv::from_text(target_env) == Some(TargetEnv::Ai);
    let group = section
        .deploy_group
        .unwrap_or_else(|| DEFAULT_GROUP.to_owned());
    let unit = Unit {
        name: section.name,
        role: UnitRole::Service,
        group: group.clone(),
        depends_on: section.depends_on.unwrap_or_default(),
        enabled: section.when.unwrap_or(true) && !elsewhere,
    };
    part(&field, unit, section.manifests, group)
}

fn part(
    field: &str,
    unit: Unit,
    manifests: Option<Vec<ManifestSection>>,
    stage: String,
) -> Result<(Unit, StackPart), ServicesYamlError> {
    if unit.name.is_empty() {
        return Err(invalid(format!("{field}.name"), "it is empty"));
    }
    let mut paths = Vec::new();
    for (index, manifest) in manifests.unwrap_or_default().into_iter().enumerate() {
        let field = format!("{field}.manifests[{index}].path");
        let inside = manifest
            .path
            .split('/')
            .all(|step| !matches!(step, "" | "." | ".."));
        if !inside {
            return Err(invalid(
                field,
                format!("{:?} is no path inside the repository", manifest.path),
            ));
        }
        paths.push((field, manifest.path));
    }
    let part = StackPart {
        name: unit.name.clone(),
        stage,
        manifests: paths,
    };
    Ok((unit, part))
}

fn check_environments(
    environments: &BTreeMap<EnvironmentName, EnvironmentSection>,
    project: &str,
) -> Result<(), ServicesYamlError> {
    for name in environments.keys() {
        let mut seen = vec![*name];
        while let Some(next) = seen
            .last()
            .and_then(|last| environments.get(last))
            .and_then(|section| section.from)
        {
            let field = || format!("spec.environments.{}.from", spelling(*name));
            if !environments.contains_key(&next) {
                let problem = format!("there is no environment {:?}", spelling(next));
                return Err(invalid(field(), problem));
            }
            if seen.contains(&next) {
                return Err(invalid(
                    field(),
                    "the environments are made from each other",
                ));
            }
            seen.push(next);
        }
    }
    if project == PLATFORM_PROJECT {
        let template = environments
            .get(&EnvironmentName::Production)
            .and_then(|section| section.namespace_template.as_deref());
        if template != Some(PLATFORM_PRODUCTION) {
            return Err(invalid(
                "spec.environments.production.namespaceTemplate",
                format!("for the project {PLATFORM_PROJECT} it is {PLATFORM_PRODUCTION:?}"),
            ));
        }
    }
    Ok(())
}

/// A file that tells of environments tells of the wanted one, too.
fn check_target(
    environments: &BTreeMap<EnvironmentName, EnvironmentSection>,
    target_env: &str,
) -> Result<(), ServicesYamlError> {
    let there = environments
        .keys()
        .any(|name| spelling(*name) == target_env);
    if environments.is_empty() || there {
        return Ok(());
    }
    Err(invalid(
        "spec.environments",
        format!("there is no environment {target_env:?}"),
    ))
}

fn spelling(name: EnvironmentName) -> &'static str {
    match name {
        EnvironmentName::Production => "production",
        EnvironmentName::Staging => "staging",
        EnvironmentName::Ai => "ai",
        EnvironmentName::AiRepair => "ai-repair",
        EnvironmentName::Dev => "dev",
    }
}

/// What is empty asks for nothing.
fn supported(field: String, section: Option<&Value>) -> Result<(), ServicesYamlError> {
    let asks = match section {
        None | Some(Value::Null) => false,
        Some(Value::Sequence(items)) => !items.is_empty(),
        Some(Value::Mapping(entries)) => !entries.is_empty(),
        Some(_) => true,
    };
    if asks {
        return Err(invalid(field, "the platform cannot deploy this yet"));
    }
    Ok(())
}

fn invalid(field: impl Into<String>, problem: impl Into<String>) -> ServicesYamlError {
    ServicesYamlError::Invalid {
        field: field.into(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEAD: &str =
        "apiVersion: codex-k8s.dev/v1alpha1\nkind: ServiceStack\nmetadata:\n  name: shop\n";

    fn read(spec: &str) -> Result<StackFile, String> {
        let file = ServicesYaml::parse(&format!("{HEAD}spec:\n{spec}")).unwrap();
        StackFile::read(&file, "ai").map_err(|error| error.to_string())
    }

    #[test]
    fn a_stack_is_read_in_its_order() {
        let stack = read(concat!(
            "  project: store\n",
            "  versions: {api: {value: 1.2.3}}\n",
            "  environments: {staging: {}, ai: {from: staging}}\n",
            "  services:\n",
            "    - {name: web, deployGroup: frontend, manifests: [{path: deploy/web.yaml}]}\n",
            "    - {name: api, dependsOn: [off], manifests: [{path: deploy/api.yaml}]}\n",
            "    - {name: off, when: false}\n",
            "    - {name: shared, scope: infrastructure-singleton}\n",
            "  infrastructure:\n",
            "    - {name: queue}\n",
        ))
        .unwrap();
        let parts: Vec<String> = stack
            .parts
            .iter()
            .map(|part| format!("{}/{}", part.stage, part.name))
            .collect();
        assert_eq!(
            parts,
            ["infrastructure/queue", "internal/api", "frontend/web"]
        );
        assert_eq!(stack.project, "store");
        assert_eq!(stack.versions["api"], "1.2.3");
        assert_eq!(
            stack.parts[1].manifests,
            [(
                "spec.services[1].manifests[0].path".to_owned(),
                "deploy/api.yaml".to_owned()
            )]
        );
    }

    #[test]
    fn a_file_that_lists_nothing_has_no_parts() {
        for spec in [
            "",
            "  services: []\n  images: {}\n",
            "  services:\n  imports: []\n",
            "  webhookRuntime:\n    defaultMode: full-env\n",
            "  environments: {staging: {}}\n",
        ] {
            assert!(read(spec).unwrap().parts.is_empty(), "{spec}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_field() {
        let cases = [
            ("  service: []\n", "spec.service: unknown field"),
            (
                "  services: [{name: a, when: maybe}]\n",
                "spec.services[0].when: invalid type",
            ),
            (
                "  services: [{name: a, scope: galaxy}]\n",
                "spec.services[0].scope: unknown variant `galaxy`",
            ),
            (
                "  services: [{manifests: []}]\n",
                "spec.services[0]: missing field `name`",
            ),
            (
                "  services: [{name: a}, {name: a}]\n",
                "spec.services: \"a\" is the name of two parts",
            ),
            (
                "  services: [{name: a, dependsOn: [b]}, {name: b, dependsOn: [a]}]\n",
                "spec.services: these wait for each other or for a later group: a, b",
            ),
            (
                "  services: [{name: a, manifests: [{path: ../a.yaml}]}]\n",
                "spec.services[0].manifests[0].path: \"../a.yaml\" is no path inside",
            ),
            (
                "  services: [{name: a, manifests: [{path: /a.yaml}]}]\n",
                "spec.services[0].manifests[0].path: \"/a.yaml\" is no path inside",
            ),
            (
                "  environments: {ai: {from: dev}, dev: {from: ai}}\n",
                "spec.environments.ai.from: the environments are made from each other",
            ),
            (
                "  environments: {ai: {from: dev}}\n",
                "spec.environments.ai.from: there is no environment \"dev\"",
            ),
            (
                "  environments: {party: {}}\n",
                "spec.environments.?: unknown variant `party`",
            ),
            (
                "  environments: {staging: {}}\n  services: [{name: a}]\n",
                "spec.environments: there is no environment \"ai\"",
            ),
            (
                "  webhookRuntime: {defaultNamespaceTTL: soon}\n",
                "spec.webhookRuntime.defaultNamespaceTTL: \"soon\" is none of the positive durations",
            ),
            (
                "  images: {api: {type: build}}\n",
                "spec.images: the platform cannot deploy this yet",
            ),
            (
                "  services: [{name: a, health: {path: /}}]\n",
                "spec.services[0].health: the platform cannot deploy this yet",
            ),
            (
                "  project: codex-k8s\n  environments: {production: {namespaceTemplate: elsewhere}}\n",
                "spec.environments.production.namespaceTemplate: for the project codex-k8s it is",
            ),
        ];
        for (spec, expected) in cases {
            let error = read(spec).unwrap_err();
            assert!(
                error.starts_with(&format!("failed to read services.yaml: {expected}")),
                "{error}"
            );
        }
    }

    #[test]
    fn the_head_of_the_file_is_checked_too() {
        let read = |text: &str| {
            let file = ServicesYaml::parse(text).unwrap();
            StackFile::read(&file, "ai").unwrap_err().to_string()
        };
        assert!(read("spec: {}\n").contains("missing field `apiVersion`"));
        let other = HEAD.replace("v1alpha1", "v2");
        assert!(read(&other).contains("apiVersion: unknown variant `codex-k8s.dev/v2`"));
        assert!(read("- a\n").contains("invalid type: sequence"));
    }
}
