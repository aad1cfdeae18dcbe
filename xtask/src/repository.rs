//! Where things lie.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::cargo;

/// This checkout, and cargo's target folder, which may lie elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    root: PathBuf,
    target: PathBuf,
}

impl Repository {
    /// The checkout that this program was built from.
    pub(crate) fn find() -> anyhow::Result<Self> {
        // Cargo sets the variable at run time; the built-in value serves a program that is run directly.
        let own =
            std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = own.parent().context("xtask lies at the top of the file system")?.to_path_buf();
        let target = target_folder(&root)?;
        Ok(Self { root, target })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The folder of the native programs, as the development profile builds them.
    pub(crate) fn programs(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// The folder of the native programs that are measured.
    pub(crate) fn release_programs(&self) -> PathBuf {
        self.target.join("release")
    }

    /// The folder of the components, which spin.toml names: always in the checkout.
    pub(crate) fn components(&self) -> PathBuf {
        self.root.join("target/components")
    }

    /// The folder of builds with seeded bugs.
    pub(crate) fn mutants(&self) -> PathBuf {
        self.target.join("mutants")
    }

    /// The folder of data that stays between runs.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join(".wiber")
    }
}

/// As cargo sees it: the variable, the configuration files and the default.
fn target_folder(root: &Path) -> anyhow::Result<PathBuf> {
    let mut metadata = cargo::command(root);
    metadata.args(["metadata", "--no-deps", "--format-version=1", "--quiet"]);
    let output = metadata.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(folder.into())
}
