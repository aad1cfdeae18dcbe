//! `runtime-config.toml`: where the databases lie. Sections other than `[sqlite_database.*]` are refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::sqlite::Commits;

/// Where a database lies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Location {
    /// The file; without one every connection is a database of its own, in memory.
    pub(crate) path: Option<PathBuf>,
    /// Whether statements may attach other files.
    #[serde(default)]
    pub(crate) allow_attach_file: bool,
    /// Asked before each opening, since SQLite would silently drop committed data behind a damage in its log.
    #[serde(skip)]
    pub(crate) log: wiber_wal::Guard,
    #[serde(skip)]
    pub(crate) commits: Commits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuntimeConfig {
    #[serde(default)]
    sqlite_database: BTreeMap<String, Database>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Database {
    Spin(Location),
}

/// Reads the locations and makes the folders of the files, or says in a sentence what is wrong. A relative path starts
/// at the current folder, as in Spin (crates/runtime-config, `sqlite_config_resolver`).
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, Location>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let locations = parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    for folder in locations.values().filter_map(|location| location.path.as_deref()?.parent()) {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(locations)
}

fn parse(text: &str) -> Result<BTreeMap<String, Location>, toml::de::Error> {
    let config: RuntimeConfig = toml::from_str(text)?;
    Ok(config.sqlite_database.into_iter().map(|(label, Database::Spin(location))| (label, location)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_locations() {
        let locations = parse("[sqlite_database.outbox]\ntype = \"spin\"\npath = \"a/b.db\"").unwrap();
        let outbox = &locations["outbox"];
        assert_eq!((outbox.path.as_deref(), outbox.allow_attach_file), (Some(Path::new("a/b.db")), false));
        assert_eq!(parse("[sqlite_database.m]\ntype = \"spin\"").unwrap()["m"].path, None);
    }

    #[test]
    fn refuses_what_it_cannot_honour() {
        assert!(parse("[sqlite_database.o]\ntype = \"libsql\"\nurl = \"x\"").is_err());
        assert!(parse("[key_value_store.default]\ntype = \"spin\"").is_err());
        assert!(parse("[sqlite_database.o]\ntype = \"spin\"\npaht = \"x\"").is_err());
    }
}
