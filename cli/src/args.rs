//! The command line.

use std::time::Duration;

use clap::{ArgMatches, Args, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use wiber_bridge::config;

use crate::{settings, when};

/// What was asked for.
#[derive(Debug, Parser)]
#[command(name = "wiber", version, about = "Looks after a running Wiber", max_term_width = 110)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: Action,
    /// Print JSON on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Compare outboxes, Kafka and MongoDB: accepted = published = stored, in content and in order
    Verify(Verify),
    /// What could not be stored
    #[command(subcommand)]
    DeadLetters(DeadLetters),
}

/// `wiber verify`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 no difference, 1 differences, 2 cannot run.")]
pub(crate) struct Verify {
    /// Only messages accepted at this time or later: RFC 3339, or relative such as -1h (ms, s, m, h, d)
    #[arg(long, value_name = "TIME", value_parser = when::instant, allow_hyphen_values = true)]
    pub(crate) from: Option<i64>,
    /// Only messages accepted before this time
    #[arg(long, value_name = "TIME", value_parser = when::instant, allow_hyphen_values = true)]
    pub(crate) to: Option<i64>,
    /// Only the conversation of these two users
    #[arg(long, num_args = 2, value_names = ["USER", "USER"])]
    pub(crate) conversation: Vec<String>,
    /// How long an accepted message may take to be stored before it counts as missing
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = when::duration)]
    pub(crate) grace: Duration,
    /// Most messages to name of each kind of difference
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) show: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List those that wait, oldest first
    List(List),
    /// Show one with its headers and its value
    #[command(after_help = "Exit codes: 0 shown, 1 no such dead letter, 2 cannot run.")]
    Show {
        /// The message's id, or the origin as TOPIC/PARTITION/OFFSET
        id: String,
    },
    /// Send them into the topic again as they first came, and record that
    Replay(Replay),
}

/// Which dead letters.
#[derive(Debug, Args, Clone)]
pub(crate) struct Which {
    /// Only this one; may be repeated
    #[arg(long = "id", value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Only those of this reason, such as no-key
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,
    /// Only those dead-lettered at this time or later: RFC 3339, or relative such as -1h (ms, s, m, h, d)
    #[arg(long, value_name = "TIME", value_parser = when::instant, allow_hyphen_values = true)]
    pub(crate) from: Option<i64>,
    /// Only those dead-lettered before this time
    #[arg(long, value_name = "TIME", value_parser = when::instant, allow_hyphen_values = true)]
    pub(crate) to: Option<i64>,
}

/// `wiber dead-letters list`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 listed, 2 cannot run.")]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Also those that were replayed
    #[arg(long)]
    pub(crate) all: bool,
    /// Most dead letters to list
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) limit: usize,
}

/// `wiber dead-letters replay`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 all replayed, 1 some not, 2 cannot run.")]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Every one that waits, where nothing else says which
    #[arg(long)]
    pub(crate) all: bool,
    /// Also those that were replayed already
    #[arg(long)]
    pub(crate) again: bool,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The grammar: the commands, and a flag for each setting that is no secret.
pub(crate) fn command() -> Command {
    let flags = config::flags(settings::is_used).map(|flag| flag.global(true).help_heading("Settings"));
    let help = "\nOnly warnings are logged unless --log or WIBER_LOG says otherwise.";
    Cli::command().args(flags).after_help(config::secrets_help(settings::is_used) + help)
}

impl Cli {
    /// Reads what [`command`] parsed.
    pub(crate) fn read(matches: &ArgMatches) -> anyhow::Result<Self> {
        Ok(Self::from_arg_matches(matches)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Cli {
        Cli::read(&command().try_get_matches_from(line.split(' ')).unwrap()).unwrap()
    }

    #[test]
    fn the_grammar_is_sound() {
        command().debug_assert();
        let cli = parse("wiber verify --from -1h --grace 5s --conversation a b --kafka-topic t --json");
        let Action::Verify(verify) = cli.action else { panic!("{cli:?}") };
        assert!(cli.json && verify.from.is_some() && verify.to.is_none());
        assert_eq!((verify.grace, verify.conversation), (Duration::from_secs(5), vec!["a".to_owned(), "b".to_owned()]));
        let cli = parse("wiber dead-letters replay --reason no-key --to 2026-01-01T00:00:00Z --dry-run");
        let Action::DeadLetters(DeadLetters::Replay(replay)) = cli.action else { panic!("{cli:?}") };
        assert!(replay.dry_run && !replay.all && replay.which.to == Some(1_767_225_600_000));
    }

    #[test]
    fn secrets_have_no_flag() {
        assert!(command().try_get_matches_from(["wiber", "verify", "--mongo-uri", "x"]).is_err());
    }
}
