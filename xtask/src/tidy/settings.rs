//! Settings: what the bridge and the functions read stands in a document.

use super::Tree;

/// The bridge's table of settings.
const BRIDGE: &str = "bridge/src/config/setting.rs";
/// The functions' variables.
const MANIFEST: &str = "spin.toml";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let documents: Vec<&str> = tree.with_extension("md").map(|file| file.text.as_str()).collect();
    let documented = |name: &str| documents.iter().any(|text| mentions(text, name));
    let undocumented = names(tree).into_iter().filter(|(_, name)| !documented(name));
    undocumented.map(|(path, name)| format!("{path}: {name} stands in no document")).collect()
}

fn names(tree: &Tree) -> Vec<(&'static str, String)> {
    let mut names = Vec::new();
    for file in &tree.files {
        match file.path.as_str() {
            BRIDGE => names.extend(settings(&file.text).map(|name| (BRIDGE, name))),
            MANIFEST => names.extend(variables(&file.text).into_iter().map(|name| (MANIFEST, name))),
            _ => {}
        }
    }
    names
}

/// The names in lines such as `ROLES = "WIBER_ROLES", Some("roles"), …`.
fn settings(text: &str) -> impl Iterator<Item = String> {
    let names = text.lines().filter_map(|line| line.split_once(" = \"")?.1.split('"').next());
    names.filter(|name| ["WIBER_", "KAFKA_", "MONGO_"].iter().any(|prefix| name.starts_with(prefix))).map(str::to_owned)
}

fn variables(text: &str) -> Vec<String> {
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let variables = table.get("variables").and_then(toml::Value::as_table);
    variables.map(|variables| variables.keys().cloned().collect()).unwrap_or_default()
}

/// Whether the whole word stands in the text: `KAFKA_TOPIC` is not mentioned by `KAFKA_TOPICS`.
fn mentions(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn a_setting_without_a_document_is_named() {
        let table = "    ROLES = \"WIBER_ROLES\", Some(\"roles\");\n    TOPIC = \"KAFKA_TOPIC\", Some(\"topic\");";
        let problems = check(&tree(&[
            (BRIDGE, table),
            (MANIFEST, "[variables]\nquery_token = { default = \"\" }\ncors_origins = { default = \"\" }"),
            ("guides/a.md", "Set `WIBER_ROLES`; `KAFKA_TOPICS` is none. `query_token`."),
        ]));
        assert_eq!(
            problems,
            [
                format!("{BRIDGE}: KAFKA_TOPIC stands in no document"),
                format!("{MANIFEST}: cors_origins stands in no document")
            ]
        );
    }
}
