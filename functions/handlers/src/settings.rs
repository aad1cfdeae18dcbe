//! The functions' settings, which are Spin variables.

/// A variable holds what it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("variable {name}: {detail}")]
pub struct SettingsError {
    /// The variable.
    pub name: &'static str,
    /// What would be right.
    pub detail: String,
}

/// The settings of one component; those that it is not given keep their defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Tokens for `/internal/*`: the present and the previous one.
    pub outbox_tokens: [String; 2],
    /// Token for the bridge's query API.
    pub query_token: String,
    /// The bridge's URL, without a trailing slash.
    pub bridge_url: String,
    /// Most rows in the outbox.
    pub outbox_rows_max: i64,
    /// Most bytes in the outbox.
    pub outbox_bytes_max: i64,
    /// Origins that browsers may call from.
    pub cors_origins: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            outbox_tokens: [String::new(), String::new()],
            query_token: String::new(),
            bridge_url: "http://127.0.0.1:8002".to_owned(),
            outbox_rows_max: 2_000_000,
            outbox_bytes_max: 2_147_483_648,
            cors_origins: Vec::new(),
        }
    }
}

impl Settings {
    /// Every variable that a component may be given.
    pub const NAMES: [&'static str; 7] = [
        "outbox_token",
        "outbox_token_previous",
        "query_token",
        "bridge_url",
        "outbox_rows_max",
        "outbox_bytes_max",
        "cors_origins",
    ];

    /// Sets one variable.
    ///
    /// # Errors
    /// If the value is out of range; names the variable.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingsError> {
        match name {
            "outbox_token" => self.outbox_tokens[0] = value.to_owned(),
            "outbox_token_previous" => self.outbox_tokens[1] = value.to_owned(),
            "query_token" => self.query_token = value.to_owned(),
            "bridge_url" => self.bridge_url = url(value)?,
            "outbox_rows_max" => self.outbox_rows_max = positive("outbox_rows_max", value)?,
            "outbox_bytes_max" => self.outbox_bytes_max = positive("outbox_bytes_max", value)?,
            "cors_origins" => {
                self.cors_origins = value.split(',').map(str::trim).filter(|o| !o.is_empty()).map(Into::into).collect()
            }
            _ => {}
        }
        Ok(())
    }
}

fn positive(name: &'static str, value: &str) -> Result<i64, SettingsError> {
    let number = value.trim().parse().ok().filter(|n| *n > 0);
    number.ok_or_else(|| SettingsError { name, detail: format!("{value:?} is not a whole number above 0") })
}

fn url(value: &str) -> Result<String, SettingsError> {
    let trimmed = value.trim_end_matches('/');
    let fine = trimmed
        .parse::<http::Uri>()
        .is_ok_and(|u| u.scheme().is_some() && u.authority().is_some() && u.query().is_none());
    let error =
        || SettingsError { name: "bridge_url", detail: format!("{value:?} is not a URL like http://127.0.0.1:8002") };
    if fine { Ok(trimmed.to_owned()) } else { Err(error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str, ok: bool) {
        assert_eq!(Settings::default().set(name, value).is_ok(), ok, "{name}={value}");
    }

    #[test]
    fn bad_values_name_their_variable() {
        check("outbox_rows_max", "1", true);
        check("outbox_rows_max", "0", false);
        check("outbox_bytes_max", "many", false);
        check("bridge_url", "http://bridge:8002/", true);
        check("bridge_url", "bridge", false);
        let mut settings = Settings::default();
        settings.set("cors_origins", " https://a , https://b,").unwrap();
        assert_eq!(settings.cors_origins, ["https://a", "https://b"]);
        assert!(settings.set("outbox_rows_max", "x").unwrap_err().to_string().contains("outbox_rows_max"));
    }
}
