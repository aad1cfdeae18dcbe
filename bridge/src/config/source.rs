//! Where settings come from.

use std::io;

/// Flags, environment and files. The process has one implementation, tests another.
pub trait Source {
    /// The values that a flag was given, in order; flags are named without dashes.
    fn flag(&self, flag: &str) -> Vec<String>;

    /// The value of an environment variable. An error is a value that is not UTF-8.
    ///
    /// # Errors
    /// If the value is not UTF-8.
    fn variable(&self, name: &str) -> Result<Option<String>, NotUtf8>;

    /// The content of a file.
    ///
    /// # Errors
    /// If it cannot be read.
    fn file(&self, path: &str) -> io::Result<String>;
}

/// A variable's value is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8;
