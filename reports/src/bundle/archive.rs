//! The bundle as one `.tar.zst`, the same bytes for the same files.
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::BundleError;
use crate::journals::files_below;

/// Fast, and still far below the size limit of E-38.
const COMPRESSION_LEVEL: i32 = 6;

pub(super) fn write(folder: &Path) -> Result<PathBuf, BundleError> {
    let name = folder
        .file_name()
        .map_or("bundle".into(), |name| name.to_string_lossy().into_owned());
    let path = folder.with_file_name(format!("{name}.tar.zst"));
    let failed = |source| BundleError::Write {
        path: path.clone(),
        source,
    };
    let files = files_below(folder)?;
    pack(folder, &name, &files, &path).map_err(failed)?;
    Ok(path)
}

fn pack(folder: &Path, name: &str, files: &[String], path: &Path) -> io::Result<()> {
    let encoder = zstd::Encoder::new(File::create(path)?, COMPRESSION_LEVEL)?;
    let mut archive = tar::Builder::new(encoder);
    for file in files {
        let bytes = fs::read(folder.join(file))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, format!("{name}/{file}"), bytes.as_slice())?;
    }
    archive.into_inner()?.finish()?.sync_all()
}
