//! Packages: each says what it is for, is named after its folder, and has the workspace's lints.

use super::{File, Tree};

const ROOTS: [&str; 2] = ["src/lib.rs", "src/main.rs"];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    tree.files.iter().filter_map(|file| package(tree, file)).flatten().collect()
}

/// The problems of the package that this manifest describes.
fn package(tree: &Tree, manifest: &File) -> Option<Vec<String>> {
    let folder = manifest.path.strip_suffix("/Cargo.toml")?;
    let Ok(table) = manifest.text.parse::<toml::Table>() else {
        return Some(vec![format!("{}: not TOML", manifest.path)]);
    };
    let name = table.get("package")?.get("name")?.as_str()?;
    let mut problems = Vec::new();
    let own = folder.rsplit('/').next().unwrap_or(folder);
    let name = name.strip_prefix("wiber-").unwrap_or(name);
    // A package within another's folder may bear the other's name in front.
    if name != own && !folder.replace('/', "-").ends_with(&format!("-{name}")) {
        problems.push(format!("{}: the folder is {own}, so the package is wiber-{own}", manifest.path));
    }
    let lints = table.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    if lints != Some(true) {
        problems.push(format!("{}: add [lints] with workspace = true", manifest.path));
    }
    problems.extend(undocumented(tree, folder));
    Some(problems)
}

fn undocumented(tree: &Tree, folder: &str) -> impl Iterator<Item = String> {
    let roots = ROOTS.map(|root| format!("{folder}/{root}"));
    let undocumented = move |file: &&File| roots.contains(&file.path) && !file.text.starts_with("//!");
    let say = |file: &File| format!("{}: begin with //!: its job, its entry point, what it must not know", file.path);
    tree.files.iter().filter(undocumented).map(say)
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn a_package_says_what_it_is() {
        let good = "[package]\nname = \"wiber-model\"\n[lints]\nworkspace = true";
        let bad = "[package]\nname = \"other\"";
        let problems = check(&tree(&[
            ("Cargo.toml", "[workspace]"),
            ("crates/model/Cargo.toml", good),
            ("crates/model/src/lib.rs", "//! Words."),
            ("bridge/Cargo.toml", bad),
            ("bridge/src/main.rs", "fn main() {}"),
        ]));
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("wiber-bridge") && problems[1].contains("[lints]") && problems[2].contains("//!"));
    }
}
