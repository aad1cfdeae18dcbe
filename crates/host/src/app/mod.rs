//! What is served and what each component may do: manifest, runtime configuration and variables, joined and checked
//! once at start. Entry point: [`App::load`].

mod databases;
mod hosts;
mod manifest;
mod routes;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use databases::Location;
pub(crate) use hosts::AllowedHosts;
pub(crate) use routes::Routes;
pub(crate) use variables::{Missing, Variables};

use crate::{Args, Error};

/// One component with its grants.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) name: Arc<str>,
    pub(crate) source: PathBuf,
    /// The databases it may open, by label.
    pub(crate) databases: BTreeMap<String, Location>,
    /// The hosts it may reach.
    pub(crate) hosts: AllowedHosts,
    /// The variables it may read.
    pub(crate) variables: Variables,
}

/// The application.
#[derive(Debug)]
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
        let manifest = manifest::read(&args.manifest).map_err(|problem| Error::Config(vec![problem]))?;
        let locations = match &args.runtime_config_file {
            Some(path) => databases::read(path).map_err(|problem| Error::Config(vec![problem]))?,
            None => BTreeMap::new(),
        };
        let mut problems = Vec::new();
        let values = variables::values(&manifest.variables, environment, &mut problems);
        let folder = args.manifest.parent().map(PathBuf::from).unwrap_or_default();

        let selected = selection(&manifest, &args.components, &mut problems);
        let mut components = Vec::new();
        for (name, declared) in selected {
            let mut refuse = |problem: String| problems.push(format!("component {name}: {problem}"));
            components.push(Arc::new(Component {
                name: name.as_str().into(),
                source: folder.join(&declared.source),
                databases: grants(&declared.sqlite_databases, &locations, &mut refuse),
                hosts: AllowedHosts::parse(&declared.allowed_outbound_hosts, &values, &mut refuse),
                variables: Variables::expand(name, &declared.variables, &values, &mut refuse),
            }));
        }
        let routes = routes(&manifest, &components, &mut problems);
        if problems.is_empty() { Ok(Self { components, routes }) } else { Err(Error::Config(problems)) }
    }
}

fn selection<'a>(
    manifest: &'a manifest::Manifest,
    names: &[String],
    problems: &mut Vec<String>,
) -> Vec<(&'a String, &'a manifest::Component)> {
    for name in names.iter().filter(|name| !manifest.component.contains_key(*name)) {
        problems.push(format!("--component {name}: the manifest has no such component"));
    }
    manifest.component.iter().filter(|(name, _)| names.is_empty() || names.contains(name)).collect()
}

fn grants(
    labels: &[String],
    locations: &BTreeMap<String, Location>,
    refuse: &mut dyn FnMut(String),
) -> BTreeMap<String, Location> {
    let mut granted = BTreeMap::new();
    for label in labels {
        match locations.get(label) {
            Some(location) => {
                granted.insert(label.clone(), location.clone());
            }
            None => refuse(format!(
                "database {label:?} is not defined: pass a --runtime-config-file with [sqlite_database.{label}]"
            )),
        }
    }
    granted
}

fn routes(manifest: &manifest::Manifest, components: &[Arc<Component>], problems: &mut Vec<String>) -> Routes {
    let mut declared = Vec::new();
    for trigger in &manifest.trigger.http {
        if !manifest.component.contains_key(&trigger.component) {
            problems.push(format!("[[trigger.http]] names component {:?}, which is not there", trigger.component));
        }
        let served = components.iter().position(|component| *component.name == *trigger.component);
        // Private routes are for calls between components, which this host does not have.
        if let (Some(index), manifest::Route::Path(pattern)) = (served, &trigger.route) {
            declared.push((pattern.as_str(), index));
        }
    }
    Routes::build(declared, &mut |problem| problems.push(problem))
}
