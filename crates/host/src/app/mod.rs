//! What is served and what each component may do: manifest, runtime configuration and variables, joined and checked
//! once at start. Entry point: [`App::load`].

mod databases;
mod hosts;
mod manifest;
mod routes;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use databases::Location;
pub(crate) use hosts::AllowedHosts;
pub(crate) use routes::Routes;
pub(crate) use variables::Variables;

use self::manifest::{Manifest, Route};
use crate::{Args, Error};

/// One component with its grants.
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) source: PathBuf,
    /// The databases it may open, by label.
    pub(crate) databases: BTreeMap<String, Location>,
    pub(crate) hosts: AllowedHosts,
    pub(crate) variables: Variables,
}

/// The application.
pub(crate) struct App {
    pub(crate) components: Vec<Arc<Component>>,
    /// From path to index in `components`.
    pub(crate) routes: Routes,
}

impl App {
    /// Reads the files that `args` names and the variables from `environment`.
    ///
    /// # Errors
    /// [`Error::Config`] with every problem that was found.
    pub(crate) fn load(args: &Args, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let unreadable = |problem| Error::Config(vec![problem]);
        let manifest = manifest::read(&args.manifest).map_err(unreadable)?;
        let locations = args.runtime_config_file.as_deref().map(databases::read).transpose().map_err(unreadable)?;
        let mut problems = Vec::new();
        let app = Self::join(&manifest, locations.unwrap_or_default(), args, environment, &mut problems);
        if problems.is_empty() { Ok(app) } else { Err(Error::Config(problems)) }
    }

    fn join(
        manifest: &Manifest,
        locations: BTreeMap<String, Location>,
        args: &Args,
        environment: &dyn Fn(&str) -> Option<String>,
        problems: &mut Vec<String>,
    ) -> Self {
        let values = variables::values(&manifest.variables, environment, problems);
        let folder = args.manifest.parent().unwrap_or(Path::new(""));
        for name in args.components.iter().filter(|name| !manifest.component.contains_key(*name)) {
            problems.push(format!("--component {name}: the manifest has no such component"));
        }
        let mut components = Vec::new();
        for (name, declared) in &manifest.component {
            if !args.components.is_empty() && !args.components.contains(name) {
                continue;
            }
            let mut refuse = |problem: String| problems.push(format!("component {name}: {problem}"));
            for label in declared.sqlite_databases.iter().filter(|label| !locations.contains_key(*label)) {
                refuse(format!("database {label:?} has no [sqlite_database.{label}] in a --runtime-config-file"));
            }
            let granted = |(label, _): &(&String, &Location)| declared.sqlite_databases.contains(label);
            components.push(Arc::new(Component {
                name: name.clone(),
                source: folder.join(&declared.source),
                databases: locations.iter().filter(granted).map(|(l, at)| (l.clone(), at.clone())).collect(),
                hosts: AllowedHosts::parse(&declared.allowed_outbound_hosts, &values, &mut refuse),
                variables: Variables::expand(name, &declared.variables, &values, &mut refuse),
            }));
        }
        let mut routes = Vec::new();
        for trigger in &manifest.trigger.http {
            if !manifest.component.contains_key(&trigger.component) {
                problems.push(format!("[[trigger.http]] names component {:?}, which is not there", trigger.component));
            }
            let served = components.iter().position(|component| component.name == trigger.component);
            // Private routes are for calls between components, which this host does not have.
            if let (Some(index), Route::Path(pattern)) = (served, &trigger.route) {
                routes.push((pattern.as_str(), index));
            }
        }
        Self { components, routes: Routes::build(routes, &mut |problem| problems.push(problem)) }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// The application that this repository deploys.
    fn load(flags: &[&str], environment: &dyn Fn(&str) -> Option<String>) -> Result<App, Error> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("runtime-config.toml");
        let database = folder.path().join("outbox.db");
        std::fs::write(&config, format!("[sqlite_database.outbox]\ntype = \"spin\"\npath = {database:?}")).unwrap();
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spin.toml");
        let config = config.to_str().unwrap();
        let fixed = ["wiber-host", "--manifest", manifest, "--runtime-config-file", config];
        App::load(&Args::parse_from(fixed.iter().chain(flags)), environment)
    }

    fn component<'a>(app: &'a App, path: &str) -> &'a Component {
        &app.components[app.routes.find(path).unwrap()]
    }

    #[test]
    fn the_manifest_of_this_repository() {
        let app = load(&[], &|_| None).unwrap();
        let paths = [
            ("/messages", "send"),
            ("/messages/batch", "send"),
            ("/health/readiness/send", "send"),
            ("/health/readiness", "status"),
            ("/messages/alice/bob", "fetch"),
            ("/messages/user/alice", "fetch"),
            ("/messages/count", "fetch"),
            ("/messages/id/msg_1", "status"),
            ("/internal/outbox/read", "outbox"),
            ("/", "status"),
            ("/nothing", "status"),
        ];
        for (path, name) in paths {
            assert_eq!(component(&app, path).name, name, "{path}");
        }
        let bridge = "http://127.0.0.1:8002/query".parse().unwrap();
        let grants = |path| (component(&app, path).databases.len(), component(&app, path).hosts.allows(&bridge));
        assert_eq!(grants("/messages"), (1, false));
        assert_eq!(grants("/messages/count"), (0, true));
        assert_eq!(grants("/internal"), (1, false));
    }

    #[test]
    fn a_variable_moves_the_grant() {
        let moved = |name: &str| (name == "SPIN_VARIABLE_BRIDGE_URL").then(|| "http://bridge:1".to_owned());
        let app = load(&[], &moved).unwrap();
        assert!(component(&app, "/messages/count").hosts.allows(&"http://bridge:1/".parse().unwrap()));
        assert!(!component(&app, "/messages/count").hosts.allows(&"http://127.0.0.1:8002/".parse().unwrap()));
    }

    #[test]
    fn chosen_components_only() {
        let app = load(&["-c", "outbox"], &|_| None).unwrap();
        assert_eq!(component(&app, "/internal/a").name, "outbox");
        assert!(app.routes.find("/messages").is_none());
        assert!(matches!(load(&["-c", "nothing"], &|_| None), Err(Error::Config(_))));
    }
}
