//! Kafka's jars, by Maven.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::machine;
use crate::progress::Progress;
use crate::{Error, command};

/// The version of Kafka.
pub(super) const KAFKA: &str = "4.3.1";
/// Prints Kafka's log: its own dependencies hold no implementation of the logging interface that they use.
const SLF4J_SIMPLE: &str = "1.7.36";
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// The folder's name in the cache: another set of jars needs another name.
pub(super) const NAME: &str = "kafka-4.3.1-a";
/// Files that a first download moves, for the bar: the jars and what describes them, Maven's plugin's included.
const FILES_ABOUT: u64 = 460;

pub(super) async fn get(folder: PathBuf, progress: &Progress) -> Result<(), Error> {
    let maven = machine::maven()?;
    let task = progress.task(format!("Getting Kafka {KAFKA}"));
    let pom = folder.join("pom.xml");
    fs::write(&pom, pom_text()).map_err(Error::io("write", &pom))?;
    let mut mvn = Command::new(maven);
    // Strict checksums: a damaged jar must fail here and not in a test.
    mvn.args(["--batch-mode", "--strict-checksums", "--file"]).arg(&pom).arg(PLUGIN);
    mvn.arg("-DincludeScope=runtime").arg(format!("-DoutputDirectory={}", folder.display()));
    let mut files = 0;
    let count = |line: &str| {
        if line.contains("Downloaded from") {
            files += 1;
            task.at(files, FILES_ABOUT.max(files));
        }
    };
    command::run("getting Kafka", "mvn", mvn, count).await?;
    task.done("from Maven, kept in the cache");
    Ok(())
}

fn pom_text() -> String {
    let dependencies: String = [
        ("org.apache.kafka", "kafka_2.13", KAFKA),
        ("org.apache.kafka", "kafka-tools", KAFKA),
        ("org.slf4j", "slf4j-simple", SLF4J_SIMPLE),
    ]
    .iter()
    .map(|(group, artifact, version)| {
        format!("<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>")
    })
    .collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion><groupId>wiber</groupId>\
         <artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencies>{dependencies}</dependencies></project>\n"
    )
}
