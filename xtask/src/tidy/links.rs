//! Documents: every relative link leads somewhere, and every guide stands in the index.

use std::path::{Component, Path, PathBuf};

use super::{File, Tree};

const GUIDES: &str = "guides/";
const INDEX: &str = "guides/README.md";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut problems: Vec<String> = tree.with_extension("md").flat_map(|file| broken(tree, file)).collect();
    problems.extend(unlisted(tree));
    problems
}

fn broken(tree: &Tree, file: &File) -> Vec<String> {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let broken = links(&file.text).into_iter().filter(|link| !leads_somewhere(tree, folder, link));
    broken.map(|link| format!("{}: the link to {link} leads nowhere", file.path)).collect()
}

fn leads_somewhere(tree: &Tree, folder: &Path, link: &str) -> bool {
    let path = link.split(['#', '?']).next().unwrap_or_default();
    let elsewhere = link.contains("://") || link.starts_with("mailto:");
    // An anchor of the same document.
    if elsewhere || path.is_empty() {
        return true;
    }
    let Some(path) = normal(&folder.join(path)) else { return false };
    let is_file = tree.files.iter().any(|file| Path::new(&file.path) == path);
    is_file || tree.root.join(path).exists()
}

/// Without `.` and `..`; nothing if it leaves the checkout.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir if normal.pop() => {}
            _ => return None,
        }
    }
    Some(normal)
}

/// The targets of `[text](target)`, outside of code.
fn links(text: &str) -> Vec<&str> {
    let mut in_code = false;
    let mut links = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            links.extend(outside_of_spans(line).flat_map(targets));
        }
    }
    links
}

/// The parts of a line that are not between backticks.
fn outside_of_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').step_by(2)
}

fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next())
}

fn unlisted(tree: &Tree) -> Vec<String> {
    let guides: Vec<&File> =
        tree.with_extension("md").filter(|file| file.path.starts_with(GUIDES) && file.path != INDEX).collect();
    let index = tree.files.iter().find(|file| file.path == INDEX);
    let listed: Vec<&str> = index.map(|index| links(&index.text)).unwrap_or_default();
    let unlisted = guides.into_iter().filter(|file| !listed.contains(&&file.path[GUIDES.len()..]));
    unlisted.map(|file| format!("{}: not in the index, {INDEX}", file.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn links_and_index_are_checked() {
        let problems = check(&tree(&[
            (
                "README.md",
                "[a](guides/a.md#x) [web](https://example.org/) [top](#top) `[no](code)`\n```\n[no](code)\n```",
            ),
            ("guides/README.md", "[a](a.md) [gone](gone.md) [up](../README.md) [out](../../x.md)"),
            ("guides/a.md", ""),
            ("guides/b.md", ""),
        ]));
        assert_eq!(
            problems,
            [
                "guides/README.md: the link to gone.md leads nowhere",
                "guides/README.md: the link to ../../x.md leads nowhere",
                "guides/b.md: not in the index, guides/README.md",
            ]
        );
    }
}
