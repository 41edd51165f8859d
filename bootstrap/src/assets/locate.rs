//! The order of sources, and the lock that keeps two runs from building at once.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::cached::{self, Lookup};
use super::error::AssetError;
use super::{build, source};
use crate::cache::{CacheFolder, create_folder};
use crate::error::{Error, Result};
use crate::progress::{Piece, Progress};

/// The variable that names a folder with ready programs.
pub const GIVEN_FOLDER: &str = "GONOGO_KUBE_ASSETS";

const SERVERS: [&str; 4] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

/// Where the programs came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Given,
    Cache,
    Build,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Given => "given",
            Self::Cache => "cache",
            Self::Build => "build",
        })
    }
}

/// The programs of a Kubernetes control plane.
#[derive(Debug, Clone)]
pub struct KubernetesAssets {
    pub origin: Origin,
    programs: Programs,
}

#[derive(Debug, Clone)]
enum Programs {
    /// One program, the component is its first argument.
    Together(PathBuf),
    Folder(PathBuf),
}

impl KubernetesAssets {
    /// How to start a component: the program and the arguments that come before the component's own.
    #[must_use]
    pub fn component(&self, name: &str) -> (PathBuf, Vec<String>) {
        match &self.programs {
            Programs::Together(program) => (program.clone(), vec![name.to_owned()]),
            Programs::Folder(folder) => (folder.join(name), Vec::new()),
        }
    }

    fn given(folder: &Path) -> Result<Self, AssetError> {
        let together = folder.join(cached::PROGRAM);
        if together.is_file() {
            return Ok(Self {
                origin: Origin::Given,
                programs: Programs::Together(together),
            });
        }
        for program in SERVERS {
            if !folder.join(program).is_file() {
                return Err(AssetError::Given {
                    program,
                    folder: folder.to_owned(),
                });
            }
        }
        Ok(Self {
            origin: Origin::Given,
            programs: Programs::Folder(folder.to_owned()),
        })
    }

    fn together(origin: Origin, program: PathBuf) -> Self {
        Self {
            origin,
            programs: Programs::Together(program),
        }
    }
}

/// What is at hand without building anything.
#[derive(Debug, Clone)]
pub enum AtHand {
    Ready(KubernetesAssets),
    /// Builds in the cache that do not match their checksums; the next run makes them anew.
    Broken(Vec<PathBuf>),
    Nothing,
}

/// The programs if they are at hand; looks only.
pub async fn peek(cache: &CacheFolder) -> Result<AtHand> {
    if let Some(folder) = given_folder() {
        return Ok(AtHand::Ready(KubernetesAssets::given(&folder)?));
    }
    Ok(match look_up(cache).await? {
        Lookup::Found(program) => AtHand::Ready(KubernetesAssets::together(Origin::Cache, program)),
        Lookup::Broken(builds) => AtHand::Broken(builds),
        Lookup::Nothing => AtHand::Nothing,
    })
}

/// Whether the programs are at hand or can be built.
pub(crate) async fn obtainable(cache: &CacheFolder) -> Result<()> {
    match peek(cache).await? {
        AtHand::Ready(_) => {}
        AtHand::Broken(_) | AtHand::Nothing => {
            build::check_go().await?;
        }
    }
    Ok(())
}

/// The programs from the first source that has them, built if need be.
pub async fn kubernetes(cache: &CacheFolder, progress: &dyn Progress) -> Result<KubernetesAssets> {
    let piece = Piece::start(progress, "kubernetes programs");
    if let Some(folder) = given_folder() {
        let assets = KubernetesAssets::given(&folder)?;
        piece.ready("given");
        return Ok(assets);
    }
    if let Lookup::Found(program) = look_up(cache).await? {
        piece.ready("cache");
        return Ok(KubernetesAssets::together(Origin::Cache, program));
    }
    let go = build::check_go().await?;
    let folder = cache.kubernetes();
    create_folder(&folder)?;
    let _lock = lock(&folder, &piece).await?;
    // Somebody else may have built it while this run waited for the lock.
    match look_up(cache).await? {
        Lookup::Found(program) => {
            piece.ready("cache");
            return Ok(KubernetesAssets::together(Origin::Cache, program));
        }
        Lookup::Broken(builds) => {
            for build in builds {
                piece.note(format!(
                    "{} does not match its checksum and is built anew",
                    build.display()
                ));
                std::fs::remove_dir_all(&build)
                    .map_err(|source| Error::file("remove the broken build", &build, source))?;
            }
        }
        Lookup::Nothing => {}
    }
    remove_abandoned(&folder);
    let unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(&folder)
        .map_err(|source| Error::file("create a folder in", &folder, source))?;
    build::build(unfinished.path(), &piece).await?;
    let destination = folder.join(format!("{}-go{go}", source::digest()));
    let unfinished = unfinished.keep();
    let program = tokio::task::spawn_blocking(move || cached::store(&unfinished, &destination))
        .await
        .expect("storing a build does not panic")?;
    piece.ready("build");
    Ok(KubernetesAssets::together(Origin::Build, program))
}

const UNFINISHED: &str = ".unfinished-";
const LOCK: &str = "build.lock";

fn given_folder() -> Option<PathBuf> {
    std::env::var_os(GIVEN_FOLDER)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

async fn look_up(cache: &CacheFolder) -> Result<Lookup> {
    let folder = cache.kubernetes();
    tokio::task::spawn_blocking(move || cached::look_up(&folder, &source::digest()))
        .await
        .expect("reading the cache does not panic")
}

/// Builds that were killed; the lock is held, so none of them is alive.
fn remove_abandoned(folder: &Path) {
    for build in unfinished(folder) {
        // What cannot be removed now costs space only.
        let _ = std::fs::remove_dir_all(build);
    }
}

fn unfinished(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// Builds whose gonogo was killed, and the lock that keeps others from beginning one; none while one is under way.
pub(crate) fn abandoned_builds(cache: &CacheFolder) -> Option<(File, Vec<PathBuf>)> {
    let folder = cache.kubernetes();
    let builds = unfinished(&folder);
    if builds.is_empty() {
        return None;
    }
    let lock = File::create(folder.join(LOCK)).ok()?;
    lock.try_lock().ok()?;
    Some((lock, builds))
}

/// Waits for the lock in a thread of its own: a build by another run takes minutes.
async fn lock(folder: &Path, piece: &Piece<'_>) -> Result<File> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(|source| Error::file("create", &path, source))?;
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    piece.note("waiting for another gonogo that builds them");
    tokio::task::spawn_blocking(move || file.lock().map(|()| file))
        .await
        .expect("waiting for a lock does not panic")
        .map_err(|source| Error::file("lock", &path, source))
}
