//! What a commit wants in an environment: every object, rendered and checked, in its order of application.
//!
//! The same plan is applied and compared with what is there already, so that both see the same manifests.
use domain::deploy::{Manifest, TemplateContext, check, render};
use domain::fingerprint::manifest_hash;
use serde::Deserialize;
use serde_json::Value;

use super::fault::Fault;
use super::source::{self, SourceError};
use super::stack_file::{StackFile, StackPart};
use crate::app::App;
use crate::github::GithubClient;
use crate::services_yaml;
use crate::store::deploy_tasks::DesiredEnvironment;

/// A stack at one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub commit: String,
    pub namespace: String,
    pub parts: Vec<PlannedPart>,
    /// Over the rendered manifests in their order.
    pub manifest_hash: String,
}

/// One part of the stack.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedPart {
    pub name: String,
    pub stage: String,
    pub manifests: Vec<Manifest>,
}

/// Fixes the commit and reads everything at it.
pub async fn plan(app: &App, desired: &DesiredEnvironment) -> Result<Plan, Fault> {
    Ok(read(app, desired).await?)
}

async fn read(app: &App, desired: &DesiredEnvironment) -> Result<Plan, SourceError> {
    let repository = &desired.repository_full_name;
    let client = source::client(app, repository).await?;
    let commit = source::resolve(&client, repository, &desired.build_ref).await?;
    let path = &desired.services_yaml_path;
    let stack = match services_yaml::read(&client, repository, path, &commit).await? {
        Some(file) => StackFile::read(&file, &desired.target_env)?,
        // A repository without the file has nothing to deploy, which is a configuration like any other.
        None => StackFile {
            project: String::new(),
            versions: Default::default(),
            parts: Vec::new(),
        },
    };
    let context = TemplateContext {
        project: stack.project,
        env: desired.target_env.clone(),
        slot: desired.slot_no,
        namespace: desired.namespace.clone(),
        vars: Default::default(),
        versions: stack.versions,
    };
    let mut parts = Vec::new();
    let mut rendered = Vec::new();
    for part in &stack.parts {
        let texts = texts(&client, repository, &commit, part, &context).await?;
        let mut manifests = Vec::new();
        for (path, text) in &texts {
            manifests.extend(documents(path, text, &desired.namespace)?);
        }
        rendered.extend(texts.into_iter().map(|(_, text)| text));
        parts.push(PlannedPart {
            name: part.name.clone(),
            stage: part.stage.clone(),
            manifests,
        });
    }
    Ok(Plan {
        commit,
        namespace: desired.namespace.clone(),
        manifest_hash: manifest_hash(rendered.iter().map(String::as_str)),
        parts,
    })
}

/// Path and rendered text of each manifest of a part.
async fn texts(
    client: &GithubClient,
    repository: &str,
    commit: &str,
    part: &StackPart,
    context: &TemplateContext,
) -> Result<Vec<(String, String)>, SourceError> {
    let mut texts = Vec::new();
    for (field, path) in &part.manifests {
        let text = services_yaml::read_text(client, repository, path, commit)
            .await?
            .ok_or_else(|| SourceError::NoManifest {
                field: field.clone(),
                path: path.clone(),
            })?;
        let text = render(&text, context).map_err(|error| SourceError::Template {
            path: path.clone(),
            error,
        })?;
        texts.push((path.clone(), text));
    }
    Ok(texts)
}

/// The objects of one file; documents that are empty are none.
fn documents(path: &str, text: &str, namespace: &str) -> Result<Vec<Manifest>, SourceError> {
    let refused = |problem: String| SourceError::Manifest {
        path: path.to_owned(),
        problem,
    };
    let mut manifests = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let object = Value::deserialize(document).map_err(|error| refused(error.to_string()))?;
        if object.is_null() {
            continue;
        }
        manifests.push(check(object, namespace).map_err(|error| refused(error.to_string()))?);
    }
    Ok(manifests)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_holds_any_number_of_objects() {
        let object =
            |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n");
        let text = format!("---\n{}---\n# nothing\n---\n{}", object("a"), object("b"));
        let names: Vec<String> = documents("x.yaml", &text, "n")
            .unwrap()
            .into_iter()
            .map(|manifest| manifest.name)
            .collect();
        assert_eq!(names, ["a", "b"]);
        let refused = |text: &str| documents("x.yaml", text, "n").unwrap_err().to_string();
        assert!(refused("a: [").starts_with("failed to read manifest x.yaml: "));
        assert!(
            refused(&object("a").replace("ConfigMap", "Secret"))
                .contains("v1 Secret is none of the kinds")
        );
    }
}
