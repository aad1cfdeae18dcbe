//! The command line.

use std::io;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::setting::{KAFKA_PROPERTY_FLAG, SETTINGS, Setting};
use super::source::{NotUtf8, Source};

/// Largest file that a `<NAME>_FILE` variable may point at, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The command line's grammar: a flag for every setting that is no secret, and a help text with every setting.
#[must_use]
pub fn command() -> Command {
    let flags = SETTINGS.iter().filter_map(|s| Some((s, s.flag?))).map(|(setting, flag)| flag_of(setting, flag));
    Command::new("wiber-bridge")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Relays outboxes into Kafka, writes Kafka to MongoDB, answers queries")
        .after_help(secrets_help())
        .max_term_width(110)
        .args(flags)
        .arg(
            Arg::new(KAFKA_PROPERTY_FLAG)
                .long(KAFKA_PROPERTY_FLAG)
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help("A librdkafka property that is no secret; may be repeated"),
        )
}

fn flag_of(setting: &Setting, flag: &'static str) -> Arg {
    let default = if setting.default.is_empty() { "none" } else { setting.default };
    Arg::new(flag)
        .long(flag)
        .value_name(setting.unit)
        .allow_hyphen_values(true)
        .help(format!("{} [env: {}] [default: {default}]", setting.help, setting.name))
}

fn secrets_help() -> String {
    let mut text = String::from(
        "Secrets come from the environment only, each as a variable or, with _FILE appended to its name, from the file \
         that the variable names:\n",
    );
    for setting in SETTINGS.iter().filter(|s| s.is_secret()) {
        let default = if setting.default.is_empty() { "none" } else { setting.default };
        text.push_str(&format!("  {} <{}>: {} [default: {default}]\n", setting.name, setting.unit, setting.help));
    }
    text.push_str("\nExit codes: 0 stopped in order, 1 failed, 2 bad settings.");
    text
}

/// The process's own flags, environment and files.
#[derive(Debug)]
pub struct Process {
    matches: ArgMatches,
}

impl Process {
    /// Reads the command line of this process; a wrong flag ends it with exit code 2, `--help` with 0.
    #[must_use]
    pub fn from_args() -> Self {
        Self { matches: command().get_matches() }
    }
}

impl Source for Process {
    fn flag(&self, flag: &str) -> Vec<String> {
        self.matches.get_many::<String>(flag).into_iter().flatten().cloned().collect()
    }

    fn variable(&self, name: &str) -> Result<Option<String>, NotUtf8> {
        std::env::var_os(name).map(|value| value.into_string().map_err(|_| NotUtf8)).transpose()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        if std::fs::metadata(path)?.len() > SECRET_FILE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {SECRET_FILE_BYTES_MAX} bytes"),
            ));
        }
        std::fs::read_to_string(path)
    }
}
