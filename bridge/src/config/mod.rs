//! Every setting: name, default, unit, limits, and the error that names it.
//!
//! Entry points: [`Config::read`], [`command`]. Settings are read once, through [`Source`]; nothing else in this program
//! looks at the environment or at flags.

mod bridge;
mod error;
mod flags;
mod kafka;
mod mongo;
mod parse;
mod reader;
mod secret;
mod setting;
mod source;

pub use bridge::{Config, Log, LogFormat, Roles};
pub use error::{Invalid, Problem};
pub use flags::{Process, command, flags, secrets_help};
pub use kafka::Kafka;
pub use mongo::Mongo;
pub use secret::Secret;
pub use setting::{SETTINGS, Setting};
pub use source::Source;

#[cfg(test)]
mod tests;
