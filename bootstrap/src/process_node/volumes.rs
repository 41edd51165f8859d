//! Volumes of a Pod as real folders, and the mounts of a container as a path mapping.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, PersistentVolume,
    PersistentVolumeClaim, Pod, Secret, ServiceAccount, ServiceAccountTokenProjection, Volume,
};
use kube::Api;
use kube::api::PostParams;

use super::environment::{NodeFacts, field_value};
use super::error::PodError;
use super::path_mapping::PathMapping;

/// Where a kubelet mounts the service account of a Pod.
pub(super) const SERVICE_ACCOUNT_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

const DEFAULT_FILE_MODE: i32 = 0o644;
const DEFAULT_TOKEN_SECONDS: i64 = 3600;

/// Makes the volumes of one Pod.
pub(super) struct VolumeBuilder<'a> {
    pub(super) client: &'a kube::Client,
    pub(super) pod: &'a Pod,
    pub(super) node: &'a NodeFacts,
    pub(super) namespace: &'a str,
    pub(super) folder: PathBuf,
}

struct VolumeFile {
    path: String,
    content: Vec<u8>,
    mode: i32,
}

impl VolumeBuilder<'_> {
    /// Makes every volume, all at once, and answers where each one lies.
    pub(super) async fn build(&self) -> Result<BTreeMap<String, PathBuf>, PodError> {
        let volumes = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.volumes.as_deref())
            .unwrap_or_default();
        let folders =
            futures::future::try_join_all(volumes.iter().map(|volume| self.volume(volume))).await?;
        Ok(volumes
            .iter()
            .map(|volume| volume.name.clone())
            .zip(folders)
            .collect())
    }

    async fn volume(&self, volume: &Volume) -> Result<PathBuf, PodError> {
        let folder = self.folder.join(&volume.name);
        if volume.empty_dir.is_some() {
            make_folder(&folder)?;
            return Ok(folder);
        }
        if let Some(host) = &volume.host_path {
            return host_path(&host.path, host.type_.as_deref());
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            return self.claim(&claim.claim_name).await;
        }
        let files = self.files(volume).await?;
        write_files(&folder, &files)?;
        Ok(folder)
    }

    async fn files(&self, volume: &Volume) -> Result<Vec<VolumeFile>, PodError> {
        if let Some(source) = &volume.config_map {
            let mode = source.default_mode.unwrap_or(DEFAULT_FILE_MODE);
            return self
                .config_map(&source.name, source.items.as_deref(), source.optional, mode)
                .await;
        }
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let mode = source.default_mode.unwrap_or(DEFAULT_FILE_MODE);
            return self
                .secret(name, source.items.as_deref(), source.optional, mode)
                .await;
        }
        if let Some(source) = &volume.downward_api {
            return self.downward(
                source.items.as_deref(),
                source.default_mode.unwrap_or(DEFAULT_FILE_MODE),
            );
        }
        let Some(projected) = &volume.projected else {
            return Err(PodError::Unsupported(format!(
                "type of volume \"{}\"",
                volume.name
            )));
        };
        let mode = projected.default_mode.unwrap_or(DEFAULT_FILE_MODE);
        let mut files = Vec::new();
        for source in projected.sources.iter().flatten() {
            if let Some(source) = &source.service_account_token {
                files.push(self.token(source, mode).await?);
            } else if let Some(source) = &source.config_map {
                files.extend(
                    self.config_map(&source.name, source.items.as_deref(), source.optional, mode)
                        .await?,
                );
            } else if let Some(source) = &source.secret {
                files.extend(
                    self.secret(&source.name, source.items.as_deref(), source.optional, mode)
                        .await?,
                );
            } else if let Some(source) = &source.downward_api {
                files.extend(self.downward(source.items.as_deref(), mode)?);
            } else {
                return Err(PodError::Unsupported(format!(
                    "projection in volume \"{}\"",
                    volume.name
                )));
            }
        }
        Ok(files)
    }

    async fn config_map(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
    ) -> Result<Vec<VolumeFile>, PodError> {
        let object = Api::<ConfigMap>::namespaced(self.client.clone(), self.namespace)
            .get_opt(name)
            .await
            .map_err(|source| PodError::Api {
                what: format!("configmap \"{name}\""),
                source,
            })?;
        let data = object.map(|object| {
            let text = object
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, value.into_bytes()));
            let binary = object
                .binary_data
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, value.0));
            text.chain(binary).collect()
        });
        select("configmap", name, items, optional, mode, data)
    }

    async fn secret(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
    ) -> Result<Vec<VolumeFile>, PodError> {
        let object = Api::<Secret>::namespaced(self.client.clone(), self.namespace)
            .get_opt(name)
            .await
            .map_err(|source| PodError::Api {
                what: format!("secret \"{name}\""),
                source,
            })?;
        let data = object.map(|object| {
            object
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(key, ByteString(value))| (key, value))
                .collect()
        });
        select("secret", name, items, optional, mode, data)
    }

    fn downward(
        &self,
        items: Option<&[DownwardAPIVolumeFile]>,
        mode: i32,
    ) -> Result<Vec<VolumeFile>, PodError> {
        let mut files = Vec::new();
        for item in items.unwrap_or_default() {
            let Some(field) = &item.field_ref else {
                return Err(PodError::Unsupported(format!(
                    "resourceFieldRef of {}",
                    item.path
                )));
            };
            let content = field_value(&field.field_path, self.pod, self.node)?.into_bytes();
            files.push(VolumeFile {
                path: item.path.clone(),
                content,
                mode: item.mode.unwrap_or(mode),
            });
        }
        Ok(files)
    }

    async fn token(
        &self,
        source: &ServiceAccountTokenProjection,
        mode: i32,
    ) -> Result<VolumeFile, PodError> {
        let account = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.clone())
            .unwrap_or_else(|| "default".to_owned());
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: source.audience.iter().cloned().collect(),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: self.pod.metadata.name.clone(),
                    uid: self.pod.metadata.uid.clone(),
                }),
                expiration_seconds: Some(
                    source.expiration_seconds.unwrap_or(DEFAULT_TOKEN_SECONDS),
                ),
            },
            ..TokenRequest::default()
        };
        let answer = Api::<ServiceAccount>::namespaced(self.client.clone(), self.namespace)
            .create_token_request(&account, &PostParams::default(), &request)
            .await
            .map_err(|source| PodError::Api {
                what: format!("token of service account \"{account}\""),
                source,
            })?;
        let token = answer.status.map(|status| status.token).unwrap_or_default();
        Ok(VolumeFile {
            path: source.path.clone(),
            content: token.into_bytes(),
            mode,
        })
    }

    async fn claim(&self, name: &str) -> Result<PathBuf, PodError> {
        let claim = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), self.namespace)
            .get_opt(name)
            .await
            .map_err(|source| PodError::Api {
                what: format!("persistentvolumeclaim \"{name}\""),
                source,
            })?
            .ok_or_else(|| PodError::Missing {
                kind: "persistentvolumeclaim",
                name: name.to_owned(),
            })?;
        let volume_name = claim
            .spec
            .and_then(|spec| spec.volume_name)
            .ok_or_else(|| PodError::Missing {
                kind: "volume bound to claim",
                name: name.to_owned(),
            })?;
        let volume = Api::<PersistentVolume>::all(self.client.clone())
            .get_opt(&volume_name)
            .await
            .map_err(|source| PodError::Api {
                what: format!("persistentvolume \"{volume_name}\""),
                source,
            })?
            .ok_or_else(|| PodError::Missing {
                kind: "persistentvolume",
                name: volume_name.clone(),
            })?;
        let spec = volume.spec.unwrap_or_default();
        let path = spec
            .host_path
            .map(|host| host.path)
            .or_else(|| spec.local.map(|local| local.path));
        let Some(path) = path else {
            return Err(PodError::Unsupported(format!(
                "type of persistentvolume \"{volume_name}\""
            )));
        };
        let folder = PathBuf::from(path);
        make_folder(&folder)?;
        Ok(folder)
    }
}

fn select(
    kind: &'static str,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
    data: Option<BTreeMap<String, Vec<u8>>>,
) -> Result<Vec<VolumeFile>, PodError> {
    let optional = optional.unwrap_or(false);
    let Some(mut data) = data else {
        return if optional {
            Ok(Vec::new())
        } else {
            Err(PodError::Missing {
                kind,
                name: name.to_owned(),
            })
        };
    };
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Ok(data
            .into_iter()
            .map(|(path, content)| VolumeFile {
                path,
                content,
                mode,
            })
            .collect());
    };
    let mut files = Vec::new();
    for item in items {
        match data.remove(&item.key) {
            Some(content) => {
                files.push(VolumeFile {
                    path: item.path.clone(),
                    content,
                    mode: item.mode.unwrap_or(mode),
                });
            }
            None if optional => {}
            None => {
                return Err(PodError::MissingKey {
                    kind,
                    name: name.to_owned(),
                    key: item.key.clone(),
                });
            }
        }
    }
    Ok(files)
}

/// The mounts of a container; every mounted folder or file exists afterwards.
pub(super) fn mounts(
    container: &Container,
    volumes: &BTreeMap<String, PathBuf>,
) -> Result<PathMapping, PodError> {
    let mut mapping = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = volumes.get(&mount.name).ok_or_else(|| PodError::Missing {
            kind: "volume",
            name: mount.name.clone(),
        })?;
        let folder = match mount.sub_path.as_deref().filter(|path| !path.is_empty()) {
            None => volume.clone(),
            Some(path) => {
                let folder = inside(volume, path)?;
                if !folder.exists() {
                    make_folder(&folder)?;
                }
                folder
            }
        };
        mapping.push((mount.mount_path.clone(), folder));
    }
    Ok(PathMapping::new(mapping))
}

fn host_path(path: &str, kind: Option<&str>) -> Result<PathBuf, PodError> {
    let folder = PathBuf::from(path);
    match kind.unwrap_or_default() {
        "DirectoryOrCreate" => make_folder(&folder)?,
        "" | "Directory" | "File" => {
            if !folder.exists() {
                return Err(PodError::Missing {
                    kind: "host path",
                    name: path.to_owned(),
                });
            }
        }
        other => return Err(PodError::Unsupported(format!("host path of type {other}"))),
    }
    Ok(folder)
}

fn inside(folder: &Path, path: &str) -> Result<PathBuf, PodError> {
    let relative = Path::new(path);
    if relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        Ok(folder.join(relative))
    } else {
        Err(PodError::Unsupported(format!(
            "path {path} that leaves its volume"
        )))
    }
}

fn make_folder(folder: &Path) -> Result<(), PodError> {
    std::fs::create_dir_all(folder).map_err(|source| PodError::Io {
        path: folder.to_owned(),
        source,
    })
}

fn write_files(folder: &Path, files: &[VolumeFile]) -> Result<(), PodError> {
    make_folder(folder)?;
    for file in files {
        let path = inside(folder, &file.path)?;
        if let Some(parent) = path.parent() {
            make_folder(parent)?;
        }
        let written = std::fs::write(&path, &file.content).and_then(|()| {
            std::fs::set_permissions(&path, Permissions::from_mode(file.mode.cast_unsigned()))
        });
        written.map_err(|source| PodError::Io { path, source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selected_keys_take_their_path_and_mode() {
        let data = BTreeMap::from([
            ("a".to_owned(), b"1".to_vec()),
            ("b".to_owned(), b"2".to_vec()),
        ]);
        let items = [KeyToPath {
            key: "a".to_owned(),
            path: "x/y".to_owned(),
            mode: Some(0o600),
        }];
        let files = select("secret", "s", Some(&items), None, 0o644, Some(data)).expect("selected");
        assert_eq!(files.len(), 1);
        assert_eq!((files[0].path.as_str(), files[0].mode), ("x/y", 0o600));
    }

    #[test]
    fn an_absent_object_is_an_error_unless_optional() {
        assert!(select("secret", "s", None, None, 0o644, None).is_err());
        assert!(
            select("secret", "s", None, Some(true), 0o644, None)
                .expect("optional")
                .is_empty()
        );
    }

    #[test]
    fn files_are_written_with_their_mode_and_stay_inside() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |path: &str| VolumeFile {
            path: path.to_owned(),
            content: b"x".to_vec(),
            mode: 0o600,
        };
        write_files(folder.path(), &[file("a/token")]).expect("written");
        let metadata = std::fs::metadata(folder.path().join("a/token")).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert!(write_files(folder.path(), &[file("../escape")]).is_err());
    }

    #[test]
    fn mounts_point_to_volumes_and_sub_paths() {
        let folder = tempfile::tempdir().expect("a folder");
        let volumes = BTreeMap::from([("w".to_owned(), folder.path().to_owned())]);
        let container: Container = serde_json::from_value(json!({"name": "run", "volumeMounts": [
            {"name": "w", "mountPath": "/workspace"}, {"name": "w", "mountPath": "/cache", "subPath": "deep/cache"},
        ]}))
        .expect("a container");
        let mapping = mounts(&container, &volumes).expect("mounted");
        assert_eq!(
            mapping.resolve("/cache/x"),
            Some(folder.path().join("deep/cache/x"))
        );
        assert!(folder.path().join("deep/cache").is_dir());
    }
}
