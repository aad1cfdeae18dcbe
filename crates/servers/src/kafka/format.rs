//! Formatting a node's data folder, once.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Options, QUICK, data, java_arguments};
use crate::{Error, command, tools};

/// Formats the data folder unless it is there. It is filled under another name, so that an interrupted formatting is
/// begun again.
pub(super) async fn once(tools: &tools::Kafka, options: &Options, properties: &Path) -> Result<(), Error> {
    let ready = data(&options.dir);
    if ready.is_dir() {
        return Ok(());
    }
    let filling = options.dir.join("data.part");
    if filling.exists() {
        fs::remove_dir_all(&filling).map_err(Error::io("remove", &filling))?;
    }
    let own = options.dir.join("format.properties");
    let text = fs::read_to_string(properties).map_err(Error::io("read", properties))?;
    // The last value of a property counts.
    let text = format!("{text}log.dirs={}\n", filling.display());
    fs::write(&own, text).map_err(Error::io("write", &own))?;
    let mut format = Command::new(&tools.java);
    format.arg(QUICK).args(java_arguments(tools)).args(["kafka.tools.StorageTool", "format", "--cluster-id"]);
    format.args([OsString::from(&options.cluster_id), "--config".into(), own.into_os_string()]);
    for (user, password) in &options.users {
        format.args(["--add-scram".into(), format!("SCRAM-SHA-256=[name={user},password={password}]")]);
    }
    command::run("formatting Kafka's data folder", "kafka.tools.StorageTool", format, |_| ()).await?;
    fs::rename(&filling, &ready).map_err(Error::io("rename", &filling))
}
