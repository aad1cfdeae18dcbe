//! Application variables and the `{{ name }}` templates that give them to components.

use std::collections::BTreeMap;

use super::manifest::Variable;

/// Prefix of the environment variables that set application variables.
const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE_";

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
            problems.push(format!("variable {name:?}: {reason}"));
        }
        if variable.default.is_none() && !variable.required {
            problems.push(format!("variable {name:?} needs a default or required = true"));
        }
        let key = format!("{ENVIRONMENT_PREFIX}{}", name.to_ascii_uppercase());
        values.insert(name.clone(), environment(&key).or_else(|| variable.default.clone()));
    }
    values
}

/// Replaces each `{{ name }}` in `template`.
///
/// # Errors
/// A sentence that names the variable.
pub(crate) fn expand(template: &str, values: &Values) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = template;
    while let Some((literal, tail)) = rest.split_once("{{") {
        let (name, tail) = tail.split_once("}}").ok_or_else(|| format!("{template:?} has an unmatched '{{{{'"))?;
        let name = name.trim();
        let value = values.get(name).ok_or_else(|| format!("{template:?} names an unknown variable {name:?}"))?;
        let value = value.as_deref().ok_or_else(|| {
            format!("required variable {name:?} has no value: set {ENVIRONMENT_PREFIX}{}", name.to_ascii_uppercase())
        })?;
        expanded.push_str(literal);
        expanded.push_str(value);
        rest = tail;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The variables of one component. Their values may be secrets: nothing here prints them.
#[derive(Default)]
pub(crate) struct Variables {
    component: String,
    values: BTreeMap<String, String>,
}

/// Why a component does not get a variable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The name can be no variable's.
    InvalidName(String),
    /// The component has no such variable.
    Undefined(String),
}

impl Variables {
    pub(crate) fn expand(
        component: &str,
        templates: &BTreeMap<String, String>,
        values: &Values,
        refuse: &mut dyn FnMut(String),
    ) -> Self {
        let mut expanded = Self { component: component.to_owned(), ..Self::default() };
        for (name, template) in templates {
            match check_name(name).map_err(str::to_owned).and_then(|()| expand(template, values)) {
                Ok(value) => {
                    expanded.values.insert(name.clone(), value);
                }
                Err(reason) => refuse(format!("variable {name:?}: {reason}")),
            }
        }
        expanded
    }

    /// The value of the component's variable `name`, with Spin's words where there is none.
    pub(crate) fn get(&self, name: &str) -> Result<String, Missing> {
        check_name(name).map_err(|reason| Missing::InvalidName(format!("{name:?}: {reason}")))?;
        let undefined = || Missing::Undefined(format!("no variable for {:?}.{name:?}", self.component));
        self.values.get(name).cloned().ok_or_else(undefined)
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Spin's rule for names (crates/expressions, `Key::validate`).
fn check_name(name: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match name {
        "" => Err("must not be empty"),
        _ if !name.chars().all(allowed) => Err("may contain only lower-case letters, digits and underscores"),
        _ if !name.starts_with(|c: char| c.is_ascii_lowercase()) => Err("must start with a lower-case letter"),
        _ if name.ends_with('_') => Err("must end with a lower-case letter or digit"),
        _ if name.contains("__") => Err("must not contain consecutive underscores"),
        _ => Ok(()),
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
        assert_eq!(variables.get("url"), Err(Missing::Undefined("no variable for \"c\".\"url\"".to_owned())));
        assert!(matches!(variables.get("Mine"), Err(Missing::InvalidName(_))));
        assert!(!format!("{variables:?}").contains("default"), "values may be secrets");
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
