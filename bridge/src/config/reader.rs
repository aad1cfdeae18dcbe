//! Reads settings one by one and collects what is wrong with them.

use super::error::{Invalid, Problem};
use super::secret::Secret;
use super::setting::Setting;
use super::source::Source;

/// Collects problems while settings are read, so that all are reported at once.
pub(super) struct Reader<'a> {
    source: &'a dyn Source,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a dyn Source) -> Self {
        Self { source, problems: Vec::new() }
    }

    /// A setting's value, parsed; `None` after a problem, which is kept.
    pub(super) fn read<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(setting)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.problem(setting, &text, reason);
                None
            }
        }
    }

    /// A secret's value, checked.
    pub(super) fn secret(
        &mut self,
        setting: &'static Setting,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Option<Secret> {
        self.read(setting, |text| check(text).map(|()| Secret::new(text)))
    }

    /// The values of a flag that may be repeated.
    pub(super) fn repeated(&self, flag: &str) -> Vec<String> {
        self.source.flag(flag)
    }

    /// Notes a problem with a setting.
    pub(super) fn problem(&mut self, setting: &Setting, value: &str, reason: impl Into<String>) {
        let value = if setting.is_secret() { "***" } else { value };
        self.problems.push(Problem { name: setting.name.to_owned(), value: value.to_owned(), reason: reason.into() });
    }

    /// The value, unless something was wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Invalid> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(Invalid(self.problems)),
        }
    }

    /// Flag before variable before file before default. An empty variable is as good as none: compose files make them.
    fn text(&mut self, setting: &'static Setting) -> Option<String> {
        if let Some(value) = setting.flag.and_then(|flag| self.source.flag(flag).pop()) {
            return Some(value);
        }
        let direct = self.variable(setting, setting.name)?;
        if !setting.is_secret() {
            return Some(direct.unwrap_or_else(|| setting.default.to_owned()));
        }
        let file_name = format!("{}_FILE", setting.name);
        match (direct, self.variable(setting, &file_name)?) {
            (Some(_), Some(_)) => {
                self.problem(setting, "", format!("set either {} or {file_name}, not both", setting.name));
                None
            }
            (None, Some(path)) => self.file(setting, &file_name, &path),
            (direct, None) => Some(direct.unwrap_or_else(|| setting.default.to_owned())),
        }
    }

    fn variable(&mut self, setting: &Setting, name: &str) -> Option<Option<String>> {
        match self.source.variable(name) {
            Ok(value) => Some(value.filter(|v| !v.is_empty())),
            Err(_) => {
                self.problem(setting, "(not UTF-8)", "must be UTF-8 text");
                None
            }
        }
    }

    fn file(&mut self, setting: &Setting, file_name: &str, path: &str) -> Option<String> {
        match self.source.file(path) {
            // Editors and `echo` end a file with a line break that is no part of the secret.
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                self.problem(setting, "", format!("{file_name} names {path}, which cannot be read: {error}"));
                None
            }
        }
    }
}
