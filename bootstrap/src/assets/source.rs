//! The Go module that the components are built from, carried in this program so that an installed
//! gonogo can build them as well as one in a checkout.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::cache::create_folder;
use crate::error::{Error, Result};

/// Version of Kubernetes that the module requires; told to the linker, because a server that does
/// not know its version reports a template text that clients cannot parse.
pub const KUBERNETES_VERSION: &str = "v1.34.4";
/// Version of etcd that the module requires.
pub const ETCD_VERSION: &str = "3.6.4";

const FILES: [(&str, &str); 3] = [
    ("go.mod", include_str!("../../kubernetes/go.mod")),
    ("go.sum", include_str!("../../kubernetes/go.sum")),
    ("main.go", include_str!("../../kubernetes/main.go")),
];

/// Identifies the module's content and how it is linked: same digest, same program for one Go version.
pub(super) fn digest() -> String {
    let mut hash = Sha256::new();
    for (name, content) in FILES {
        hash.update(name);
        hash.update([0]);
        hash.update(content);
        hash.update([0]);
    }
    hash.update(linker_flags());
    hex::encode(&hash.finalize()[..8])
}

pub(super) fn linker_flags() -> String {
    let (major, minor) = KUBERNETES_VERSION
        .trim_start_matches('v')
        .split_once('.')
        .and_then(|(major, rest)| rest.split_once('.').map(|(minor, _)| (major, minor)))
        .expect("a Kubernetes version has three parts");
    let mut flags = "-s -w".to_owned();
    for package in [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ] {
        flags.push_str(&format!(
            " -X {package}.gitVersion={KUBERNETES_VERSION} -X {package}.gitMajor={major} \
             -X {package}.gitMinor={minor} -X {package}.gitTreeState=archive"
        ));
    }
    flags
}

pub(super) fn write(folder: &Path) -> Result<()> {
    create_folder(folder)?;
    for (name, content) in FILES {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(|source| Error::file("write", &path, source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_agree_with_the_module() {
        let module = FILES[0].1;
        assert!(module.contains(&format!("k8s.io/kubernetes {KUBERNETES_VERSION}\n")));
        assert!(module.contains(&format!("go.etcd.io/etcd/server/v3 v{ETCD_VERSION}\n")));
        assert!(linker_flags().contains("gitMinor=34"));
    }
}
