//! The command line.

use std::io;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::setting::{KAFKA_PROPERTIES, KAFKA_PROPERTY_FLAG, SETTINGS, Setting};
use super::source::{NotUtf8, Source};

/// Largest file that a `<NAME>_FILE` variable may point at, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The command line's grammar: a flag for every setting that is no secret, and a help text with every setting.
#[must_use]
pub fn command() -> Command {
    Command::new("wiber-bridge")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Relays outboxes into Kafka, writes Kafka to MongoDB, answers queries")
        .after_help(format!("{}\nExit codes: 0 stopped in order, 1 failed, 2 bad settings.", secrets_help(|_| true)))
        .max_term_width(110)
        .args(flags(|_| true))
}

/// The flags of the settings that `wanted` picks by their names, for another program that shares them.
pub fn flags(wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = Arg> {
    let kafka_property = Arg::new(KAFKA_PROPERTY_FLAG)
        .long(KAFKA_PROPERTY_FLAG)
        .value_name("NAME=VALUE")
        .action(ArgAction::Append)
        .help("A librdkafka property that is no secret; may be repeated");
    let kafka_property = wanted(KAFKA_PROPERTIES.name).then_some(kafka_property);
    let flags = SETTINGS.iter().filter_map(|s| Some((s, s.flag?)));
    let flags = flags.filter(move |(setting, _)| wanted(setting.name));
    flags.map(|(setting, flag)| flag_of(setting, flag)).chain(kafka_property)
}

fn flag_of(setting: &Setting, flag: &'static str) -> Arg {
    let default = if setting.default.is_empty() { "none" } else { setting.default };
    Arg::new(flag)
        .long(flag)
        .value_name(setting.unit)
        .allow_hyphen_values(true)
        .help(format!("{} [env: {}] [default: {default}]", setting.help, setting.name))
}

/// What the help tells of those secrets that `wanted` picks by their names.
#[must_use]
pub fn secrets_help(wanted: impl Fn(&str) -> bool) -> String {
    let mut text = String::from(
        "Secrets come from the environment only, each as a variable or, with _FILE appended to its name, from the file \
         that the variable names:\n",
    );
    for setting in SETTINGS.iter().filter(|s| s.is_secret() && wanted(s.name)) {
        let default = if setting.default.is_empty() { "none" } else { setting.default };
        text.push_str(&format!("  {} <{}>: {} [default: {default}]\n", setting.name, setting.unit, setting.help));
    }
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
        Self::new(command().get_matches())
    }

    /// What was read from the command line of a program that has [`flags`] of its own choice.
    #[must_use]
    pub fn new(matches: ArgMatches) -> Self {
        Self { matches }
    }
}

impl Source for Process {
    fn flag(&self, flag: &str) -> Vec<String> {
        // A program that shares the settings may not have every flag.
        let values = self.matches.try_get_many::<String>(flag).ok().flatten();
        values.into_iter().flatten().cloned().collect()
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
