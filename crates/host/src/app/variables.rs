//! Application variables, the `{{ name }}` templates that give them to components, and `spin:variables`, by which a
//! component reads its own. All are resolved at start.

use std::collections::BTreeMap;

use wasmtime::component::{Accessor, HasSelf};

use super::manifest::Variable;
use crate::bindings::variables::{Error, Host, HostWithStore};
use crate::engine::State;

/// Prefix of the environment variables that set application variables.
const PREFIX: &str = "SPIN_VARIABLE_";

/// The application's variables by name; `None` where a required one has no value.
pub(crate) type Values = BTreeMap<String, Option<String>>;

/// Takes each variable's value from the environment, else its default.
pub(crate) fn values(
    declared: &BTreeMap<String, Variable>,
    environment: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<String>,
) -> Values {
    let mut values = Values::new();
    for (name, variable) in declared {
        if let Err(reason) = check_name(name) {
            problems.push(format!("variable {name:?} {reason}"));
        }
        if variable.default.is_none() && !variable.required {
            problems.push(format!("variable {name:?} needs a default or required = true"));
        }
        let value = environment(&format!("{PREFIX}{}", name.to_ascii_uppercase()));
        values.insert(name.clone(), value.or_else(|| variable.default.clone()));
    }
    values
}

/// Replaces each `{{ name }}` in `template`, or says which one has no value.
pub(crate) fn expand(template: &str, values: &Values) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = template;
    while let Some((literal, tail)) = rest.split_once("{{") {
        let (name, tail) = tail.split_once("}}").ok_or_else(|| format!("{template:?} has an unmatched '{{{{'"))?;
        let name = name.trim();
        let value = values.get(name).ok_or_else(|| format!("{template:?} names an unknown variable {name:?}"))?;
        let missing = || format!("variable {name:?} has no value: set {PREFIX}{}", name.to_ascii_uppercase());
        expanded.push_str(literal);
        expanded.push_str(value.as_deref().ok_or_else(missing)?);
        rest = tail;
    }
    Ok(expanded + rest)
}

/// The variables of one component. Their values may be secrets, so they have no `Debug`.
pub(crate) struct Variables {
    component: String,
    values: BTreeMap<String, String>,
}

impl Variables {
    pub(crate) fn expand(
        component: &str,
        templates: &BTreeMap<String, String>,
        values: &Values,
        refuse: &mut dyn FnMut(String),
    ) -> Self {
        let mut expanded = BTreeMap::new();
        for (name, template) in templates {
            match check_name(name).map_err(str::to_owned).and_then(|()| self::expand(template, values)) {
                Ok(value) => _ = expanded.insert(name.clone(), value),
                Err(reason) => refuse(format!("variable {name:?}: {reason}")),
            }
        }
        Self { component: component.to_owned(), values: expanded }
    }

    /// The value of the component's variable `name`, or Spin's words where there is none.
    fn get(&self, name: &str) -> Result<String, Error> {
        check_name(name).map_err(|reason| Error::InvalidName(format!("{name:?}: {reason}")))?;
        let undefined = || Error::Undefined(format!("no variable for {:?}.{name:?}", self.component));
        self.values.get(name).cloned().ok_or_else(undefined)
    }
}

/// Spin's rule for names (crates/expressions, `Key::validate`).
fn check_name(name: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match name {
        _ if !name.starts_with(|c: char| c.is_ascii_lowercase()) => Err("must start with a lower-case letter"),
        _ if !name.chars().all(allowed) => Err("may contain only lower-case letters, digits and underscores"),
        _ if name.ends_with('_') || name.contains("__") => Err("must have underscores between other characters only"),
        _ => Ok(()),
    }
}

impl Host for State {}

impl<T: Send> HostWithStore<T> for HasSelf<State> {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, Error>> {
        Ok(accessor.with(|mut access| access.get().component.variables.get(&name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(problems: &mut Vec<String>) -> Values {
        let declared = BTreeMap::from([
            ("url".to_owned(), Variable { default: Some("default".to_owned()), ..Variable::default() }),
            ("token".to_owned(), Variable { required: true, ..Variable::default() }),
            ("empty".to_owned(), Variable { default: Some("x".to_owned()), ..Variable::default() }),
        ]);
        let environment = |key: &str| match key {
            "SPIN_VARIABLE_EMPTY" => Some(String::new()),
            _ => None,
        };
        values(&declared, &environment, problems)
    }

    fn expands(template: &str, expected: Result<&str, &str>) {
        match (expand(template, &resolved(&mut Vec::new())), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
            (actual, _) => panic!("{template:?}: {actual:?}"),
        }
    }

    #[test]
    fn templates() {
        expands("plain", Ok("plain"));
        expands("{{ url }}", Ok("default"));
        expands("a-{{url}}-{{ url }}", Ok("a-default-default"));
        expands("[{{ empty }}]", Ok("[]"));
        expands("{{ other }}", Err("other"));
        expands("{{ url", Err("unmatched"));
        expands("{{ token }}", Err("SPIN_VARIABLE_TOKEN"));
    }

    #[test]
    fn a_component_gets_only_its_own() {
        let templates = BTreeMap::from([("mine".to_owned(), "{{ url }}".to_owned())]);
        let mut refused = Vec::new();
        let variables = Variables::expand("c", &templates, &resolved(&mut Vec::new()), &mut |r| refused.push(r));
        assert!(refused.is_empty());
        assert_eq!(variables.get("mine").unwrap(), "default");
        let undefined = variables.get("url");
        assert!(matches!(undefined, Err(Error::Undefined(text)) if text == r#"no variable for "c"."url""#));
        assert!(matches!(variables.get("Mine"), Err(Error::InvalidName(_))));
    }

    #[test]
    fn names() {
        for name in ["a", "a1", "a_b_2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "1a", "a_", "_a", "a__b", "a-b", "é"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
