//! `spin.toml` in variants: the grants of one component taken away.

use std::path::{Path, PathBuf};

use toml::Table;

use crate::binaries;

/// The repository's manifest, with the components' files named absolutely so that it can lie anywhere.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn load() -> Table {
    let root = binaries::repository();
    let text = std::fs::read_to_string(root.join("spin.toml")).expect("spin.toml lies at the root");
    let mut manifest: Table = text.parse().expect("spin.toml is TOML");
    for (name, component) in components(&mut manifest) {
        let source = component.get("source").and_then(toml::Value::as_str).unwrap_or_default();
        let source = root.join(source).display().to_string();
        component
            .as_table_mut()
            .unwrap_or_else(|| panic!("component.{name} is a table"))
            .insert("source".into(), source.into());
    }
    manifest
}

/// Gives a component another file.
///
/// # Panics
/// If there is no such component.
pub fn replace(manifest: &mut Table, component: &str, file: &Path) {
    let table = components(manifest).find(|(name, _)| *name == component).and_then(|(_, table)| table.as_table_mut());
    let table = table.unwrap_or_else(|| panic!("spin.toml has no component {component}"));
    table.insert("source".into(), file.display().to_string().into());
}

/// Takes a grant, such as `sqlite_databases`, from a component.
///
/// # Panics
/// If it had none.
pub fn revoke(manifest: &mut Table, component: &str, grant: &str) {
    let revoked = components(manifest)
        .find(|(name, _)| *name == component)
        .and_then(|(_, table)| table.as_table_mut())
        .and_then(|table| table.remove(grant));
    assert!(revoked.is_some(), "spin.toml grants {component} no {grant}");
}

/// Writes the manifest into `folder`.
///
/// # Panics
/// If it cannot be written.
#[must_use]
pub fn write(manifest: &Table, folder: &Path) -> PathBuf {
    let path = folder.join("spin.toml");
    std::fs::write(&path, manifest.to_string()).expect("the test's folder can be written");
    path
}

/// Writes the runtime configuration that puts the outbox at `database`.
///
/// # Panics
/// If it cannot be written.
#[must_use]
pub fn write_runtime_config(database: &Path, folder: &Path) -> PathBuf {
    let path = folder.join("runtime-config.toml");
    let database = toml::Value::from(database.display().to_string());
    let text = format!("[sqlite_database.outbox]\ntype = \"spin\"\npath = {database}\n");
    std::fs::write(&path, text).expect("the test's folder can be written");
    path
}

fn components(manifest: &mut Table) -> impl Iterator<Item = (&String, &mut toml::Value)> {
    let table = manifest.get_mut("component").and_then(toml::Value::as_table_mut).expect("spin.toml has components");
    table.iter_mut()
}
