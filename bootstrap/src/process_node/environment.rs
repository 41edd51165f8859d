//! The environment and command line of a container, resolved as a kubelet resolves them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, Pod, Secret};
use kube::Api;

use super::error::PodError;
use super::path_mapping::PathMapping;

/// Objects that `env` and `envFrom` refer to, already read.
#[derive(Debug, Default)]
pub(super) struct References {
    config_maps: HashMap<String, Option<BTreeMap<String, String>>>,
    secrets: HashMap<String, Option<BTreeMap<String, String>>>,
}

impl References {
    /// Reads every object the container refers to; an absent one is noted as absent.
    pub(super) async fn load(
        client: &kube::Client,
        namespace: &str,
        container: &Container,
    ) -> Result<Self, PodError> {
        let mut config_map_names = BTreeSet::new();
        let mut secret_names = BTreeSet::new();
        for variable in container.env.iter().flatten() {
            if let Some(source) = &variable.value_from {
                config_map_names.extend(
                    source
                        .config_map_key_ref
                        .as_ref()
                        .map(|key| key.name.clone()),
                );
                secret_names.extend(source.secret_key_ref.as_ref().map(|key| key.name.clone()));
            }
        }
        for source in container.env_from.iter().flatten() {
            config_map_names.extend(
                source
                    .config_map_ref
                    .as_ref()
                    .map(|object| object.name.clone()),
            );
            secret_names.extend(source.secret_ref.as_ref().map(|object| object.name.clone()));
        }
        let config_maps = try_join_all(config_map_names.into_iter().map(|name| async move {
            let data = read_config_map(client, namespace, &name).await?;
            Ok((name, data))
        }));
        let secrets = try_join_all(secret_names.into_iter().map(|name| async move {
            let data = read_secret(client, namespace, &name).await?;
            Ok((name, data))
        }));
        let (config_maps, secrets) = tokio::try_join!(config_maps, secrets)?;
        Ok(Self {
            config_maps: config_maps.into_iter().collect(),
            secrets: secrets.into_iter().collect(),
        })
    }
}

/// Text data of a ConfigMap, or nothing when there is none.
async fn read_config_map(
    client: &kube::Client,
    namespace: &str,
    name: &str,
) -> Result<Option<BTreeMap<String, String>>, PodError> {
    let object = Api::<ConfigMap>::namespaced(client.clone(), namespace)
        .get_opt(name)
        .await
        .map_err(|source| PodError::Api {
            what: format!("configmap \"{name}\""),
            source,
        })?;
    Ok(object.map(|object| object.data.unwrap_or_default()))
}

async fn read_secret(
    client: &kube::Client,
    namespace: &str,
    name: &str,
) -> Result<Option<BTreeMap<String, String>>, PodError> {
    let object = Api::<Secret>::namespaced(client.clone(), namespace)
        .get_opt(name)
        .await
        .map_err(|source| PodError::Api {
            what: format!("secret \"{name}\""),
            source,
        })?;
    Ok(object.map(|object| {
        object
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()))
            .collect()
    }))
}

/// Addresses that `fieldRef` may ask for.
#[derive(Debug, Clone)]
pub(super) struct NodeFacts {
    pub(super) node_name: String,
    pub(super) node_ip: String,
}

/// Resolves `envFrom`, then `env` in order, with `$(NAME)` expanded; mount paths are not rewritten yet.
pub(super) fn resolve(
    container: &Container,
    pod: &Pod,
    node: &NodeFacts,
    service_variables: &BTreeMap<String, String>,
    references: &References,
) -> Result<BTreeMap<String, String>, PodError> {
    let mut result = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let (kind, name, optional, data) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(object), _) => (
                "configmap",
                &object.name,
                object.optional,
                references.config_maps.get(&object.name),
            ),
            (None, Some(object)) => (
                "secret",
                &object.name,
                object.optional,
                references.secrets.get(&object.name),
            ),
            (None, None) => continue,
        };
        match data.and_then(Option::as_ref) {
            Some(data) => result.extend(
                data.iter()
                    .map(|(key, value)| (format!("{prefix}{key}"), value.clone())),
            ),
            None if optional.unwrap_or(false) => {}
            None => {
                return Err(PodError::Missing {
                    kind,
                    name: name.clone(),
                });
            }
        }
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(variable, pod, node, references)? {
            // Service variables can be referred to, but an explicit value of the same name wins.
            let scope = |name: &str| {
                result
                    .get(name)
                    .or_else(|| service_variables.get(name))
                    .cloned()
            };
            let value = if variable.value_from.is_none() {
                expand(&value, scope)
            } else {
                value
            };
            result.insert(variable.name.clone(), value);
        }
    }
    for (name, value) in service_variables {
        result.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Ok(result)
}

fn value_of(
    variable: &EnvVar,
    pod: &Pod,
    node: &NodeFacts,
    references: &References,
) -> Result<Option<String>, PodError> {
    let Some(source) = &variable.value_from else {
        return Ok(Some(variable.value.clone().unwrap_or_default()));
    };
    if let Some(key) = &source.secret_key_ref {
        let data = references.secrets.get(&key.name).and_then(Option::as_ref);
        return key_of("secret", &key.name, &key.key, key.optional, data);
    }
    if let Some(key) = &source.config_map_key_ref {
        let data = references
            .config_maps
            .get(&key.name)
            .and_then(Option::as_ref);
        return key_of("configmap", &key.name, &key.key, key.optional, data);
    }
    if let Some(field) = &source.field_ref {
        return field_value(&field.field_path, pod, node).map(Some);
    }
    Err(PodError::Unsupported(format!(
        "source of variable {}",
        variable.name
    )))
}

fn key_of(
    kind: &'static str,
    name: &str,
    key: &str,
    optional: Option<bool>,
    data: Option<&BTreeMap<String, String>>,
) -> Result<Option<String>, PodError> {
    match (data, data.and_then(|data| data.get(key))) {
        (_, Some(value)) => Ok(Some(value.clone())),
        _ if optional.unwrap_or(false) => Ok(None),
        (None, None) => Err(PodError::Missing {
            kind,
            name: name.to_owned(),
        }),
        (Some(_), None) => Err(PodError::MissingKey {
            kind,
            name: name.to_owned(),
            key: key.to_owned(),
        }),
    }
}

/// Value of a downward-API field.
pub(super) fn field_value(path: &str, pod: &Pod, node: &NodeFacts) -> Result<String, PodError> {
    let metadata = &pod.metadata;
    if let Some(key) = subscript(path, "metadata.labels") {
        return Ok(metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(key))
            .cloned()
            .unwrap_or_default());
    }
    if let Some(key) = subscript(path, "metadata.annotations") {
        return Ok(metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(key))
            .cloned()
            .unwrap_or_default());
    }
    let value = match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace.clone(),
        "metadata.uid" => metadata.uid.clone(),
        "metadata.labels" => metadata.labels.as_ref().map(lines),
        "metadata.annotations" => metadata.annotations.as_ref().map(lines),
        "spec.nodeName" => Some(node.node_name.clone()),
        "spec.serviceAccountName" => pod
            .spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.clone()),
        "status.hostIP" | "status.podIP" | "status.hostIPs" | "status.podIPs" => {
            Some(node.node_ip.clone())
        }
        other => return Err(PodError::Unsupported(format!("field {other}"))),
    };
    Ok(value.unwrap_or_default())
}

fn subscript<'a>(path: &'a str, field: &str) -> Option<&'a str> {
    path.strip_prefix(field)?
        .strip_prefix("['")?
        .strip_suffix("']")
}

fn lines(map: &BTreeMap<String, String>) -> String {
    map.iter()
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Expands `$(NAME)`; `$$(NAME)` is a literal, an unknown name stays as it is.
pub(super) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(literal) = after.strip_prefix('$') {
            result.push('$');
            rest = literal;
        } else if let Some((name, tail)) = after
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
        {
            match lookup(name) {
                Some(value) => result.push_str(&value),
                None => result.push_str(&format!("$({name})")),
            }
            rest = tail;
        } else {
            result.push('$');
            rest = after;
        }
    }
    result.push_str(rest);
    result
}

/// The words of the command line, expanded and with mount paths rewritten.
pub(super) fn command_line(
    container: &Container,
    environment: &BTreeMap<String, String>,
    mapping: &PathMapping,
) -> Vec<String> {
    let command = container.command.iter().flatten();
    let arguments = container.args.iter().flatten();
    command
        .chain(arguments)
        .map(|word| mapping.rewrite(&expand(word, |name| environment.get(name).cloned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn resolve_env(
        container: Value,
        references: &References,
    ) -> Result<BTreeMap<String, String>, PodError> {
        let container: Container = serde_json::from_value(container).expect("a container");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "x"}},
            "spec": {"containers": [], "serviceAccountName": "sa"},
        }))
        .expect("a pod");
        let node = NodeFacts {
            node_name: "node".to_owned(),
            node_ip: "127.1.2.3".to_owned(),
        };
        let services =
            BTreeMap::from([("KUBERNETES_SERVICE_HOST".to_owned(), "127.1.1.1".to_owned())]);
        resolve(&container, &pod, &node, &services, references)
    }

    fn references() -> References {
        let data = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
        References {
            config_maps: HashMap::from([
                ("cm".to_owned(), Some(data.clone())),
                ("gone".to_owned(), None),
            ]),
            secrets: HashMap::from([("s".to_owned(), Some(data)), ("gone".to_owned(), None)]),
        }
    }

    #[test]
    fn values_references_and_fields() {
        let environment = resolve_env(
            json!({"name": "run", "envFrom": [{"prefix": "P_", "configMapRef": {"name": "cm"}}], "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "value": "$(A)-$(P_key)-$(NONE)-$$(A)-$(KUBERNETES_SERVICE_HOST)"},
                {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
                {"name": "O", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "key", "optional": true}}},
                {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ]}),
            &references(),
        )
        .expect("resolves");
        assert_eq!(environment["B"], "1-value-$(NONE)-$(A)-127.1.1.1");
        assert_eq!(environment["S"], "value");
        assert!(!environment.contains_key("O"));
        assert_eq!(environment["L"], "x");
        assert_eq!(environment["IP"], "127.1.2.3");
        assert_eq!(environment["KUBERNETES_SERVICE_HOST"], "127.1.1.1");
    }

    #[test]
    fn a_missing_secret_or_key_is_an_error_that_may_pass() {
        let missing = resolve_env(
            json!({"name": "run", "env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "key"}}}]}),
            &references(),
        )
        .expect_err("the secret is missing");
        assert_eq!(missing.to_string(), "secret \"gone\" not found");
        assert!(!missing.is_final());
        let no_key = resolve_env(
            json!({"name": "run", "env": [{"name": "S", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "other"}}}]}),
            &references(),
        )
        .expect_err("the key is missing");
        assert_eq!(
            no_key.to_string(),
            "couldn't find key other in configmap cm"
        );
    }

    #[test]
    fn resource_fields_are_refused() {
        let refused = resolve_env(
            json!({"name": "run", "env": [{"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]}),
            &references(),
        )
        .expect_err("not supported");
        assert!(refused.is_final());
    }

    #[test]
    fn the_command_line_is_expanded_then_rewritten() {
        let container: Container = serde_json::from_value(
            json!({"name": "run", "command": ["tool", "$(DIR)/x"], "args": ["/workspace", "--at=/workspace"]}),
        )
        .expect("a container");
        let environment = BTreeMap::from([("DIR".to_owned(), "/workspace".to_owned())]);
        let mapping = PathMapping::new([("/workspace".to_owned(), "/real".into())]);
        assert_eq!(
            command_line(&container, &environment, &mapping),
            ["tool", "/real/x", "/real", "--at=/workspace"]
        );
    }
}
