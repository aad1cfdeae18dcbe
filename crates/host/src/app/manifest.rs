//! `spin.toml`, version 2, as far as this host serves it. What it cannot honour is refused, never ignored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    spin_manifest_version: u32,
    #[serde(rename = "application")]
    _application: IgnoredAny,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, Variable>,
    #[serde(default)]
    pub(crate) trigger: Triggers,
    #[serde(default)]
    pub(crate) component: BTreeMap<String, Component>,
}

/// An application variable: `required`, or with a default.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Variable {
    pub(crate) default: Option<String>,
    #[serde(default)]
    pub(crate) required: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Triggers {
    #[serde(default)]
    pub(crate) http: Vec<HttpTrigger>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpTrigger {
    pub(crate) route: Route,
    pub(crate) component: String,
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Route {
    Path(String),
    /// `{ private = true }`: not reachable from outside.
    Private(#[allow(dead_code, reason = "only its presence counts")] IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    pub(crate) source: PathBuf,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    pub(crate) sqlite_databases: Vec<String>,
    #[serde(rename = "description")]
    _description: Option<IgnoredAny>,
    #[serde(rename = "build")]
    _build: Option<IgnoredAny>,
}

/// Reads the manifest, or says in a sentence which file is wrong and why.
pub(crate) fn read(path: &Path) -> Result<Manifest, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    text.and_then(|text| parse(&text)).map_err(|problem| format!("{}: {problem}", path.display()))
}

fn parse(text: &str) -> Result<Manifest, String> {
    let manifest: Manifest = toml::from_str(text).map_err(|error| error.to_string())?;
    match manifest.spin_manifest_version {
        2 => Ok(manifest),
        other => Err(format!("spin_manifest_version is {other}; this host reads version 2")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, expected: &str) {
        let problem = parse(&format!("spin_manifest_version = 2\napplication.name = \"a\"\n{text}")).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }

    #[test]
    fn reads_what_it_serves() {
        let manifest = parse(
            r#"
            spin_manifest_version = 2
            [application]
            name = "a"
            [variables]
            url = { default = "http://127.0.0.1:1" }
            key = { required = true, secret = true }
            [[trigger.http]]
            route = "/a/..."
            component = "a"
            [[trigger.http]]
            route = { private = true }
            component = "a"
            [component.a]
            source = "a.wasm"
            sqlite_databases = ["outbox"]
            allowed_outbound_hosts = ["{{ url }}"]
            [component.a.variables]
            url = "{{ url }}"
            [component.a.build]
            command = "true"
            "#,
        )
        .unwrap();
        assert_eq!(manifest.variables["url"].default.as_deref(), Some("http://127.0.0.1:1"));
        assert!(manifest.variables["key"].required);
        assert_eq!(manifest.component["a"].sqlite_databases, ["outbox"]);
        assert!(matches!(&manifest.trigger.http[0].route, Route::Path(path) if path == "/a/..."));
        assert!(matches!(manifest.trigger.http[1].route, Route::Private(_)));
    }

    #[test]
    fn refuses_what_it_cannot_honour() {
        refused("[component.a]\nsource = \"a\"\nkey_value_stores = [\"default\"]", "key_value_stores");
        refused("[component.a]\nsource = \"a\"\nfiles = [\"x\"]", "files");
        refused("[component.a]\nsource = { url = \"x\", digest = \"y\" }", "source");
        refused("[[trigger.redis]]\nchannel = \"x\"", "redis");
        assert!(parse("spin_manifest_version = 1\napplication.name = \"a\"").unwrap_err().contains("version 2"));
    }
}
