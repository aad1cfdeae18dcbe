//! Rules about the text of files.

use super::{File, Tree};

/// Beyond this there is a second subject in the file (guides: small pieces).
const LINES_MAX: usize = 500;
/// What must not be left in code. Written in two parts, so that this file passes.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("dbg", "!("),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];
/// Hosts of package registries: which one is used is the machine's setting, through its package managers.
const REGISTRIES: [&str; 12] = [
    concat!("repo.maven.", "apache.org"),
    concat!("repo1.", "maven.org"),
    concat!("files.python", "hosted.org"),
    concat!("test.", "pypi.org"),
    concat!("://", "pypi.org"),
    concat!("registry.", "npmjs.org"),
    concat!("proxy.", "golang.org"),
    concat!("deb.", "debian.org"),
    concat!("archive.", "ubuntu.com"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry-1.", "docker.io"),
];
/// Written by cargo, with the registry of each package.
const LOCK_FILE: &str = "Cargo.lock";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let long = tree.with_extension("rs").filter_map(too_long);
    let unfinished =
        ["rs", "toml", "sh", "yaml"].into_iter().flat_map(|end| tree.with_extension(end)).flat_map(unfinished);
    let hosts = tree.files.iter().filter(|file| file.path != LOCK_FILE).flat_map(registry_hosts);
    long.chain(unfinished).chain(hosts).collect()
}

fn too_long(file: &File) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > LINES_MAX).then(|| format!("{}: {lines} lines; split it, {LINES_MAX} is the most", file.path))
}

fn unfinished(file: &File) -> impl Iterator<Item = String> {
    found(file, &UNFINISHED)
        .map(|(line, word)| format!("{}:{line}: {word} is left; finish it or open an issue", file.path))
}

fn registry_hosts(file: &File) -> impl Iterator<Item = String> {
    found(file, &REGISTRIES).map(|(line, host)| {
        format!("{}:{line}: {host} is named; use the package manager, which knows its registry", file.path)
    })
}

fn found<'a>(file: &'a File, words: &'a [&str]) -> impl Iterator<Item = (usize, &'a str)> {
    let lines = file.text.lines().enumerate();
    lines
        .flat_map(|(index, line)| words.iter().filter(|word| line.contains(**word)).map(move |word| (index + 1, *word)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn each_rule_names_file_and_line() {
        let long = "//\n".repeat(LINES_MAX + 1);
        let unfinished = format!("fn a() {{}}\n// {}: b\n", UNFINISHED[0]);
        let host = format!("index-url = \"https://{}/simple\"", REGISTRIES[2]);
        let problems = check(&tree(&[("a.rs", &long), ("b.rs", &unfinished), ("c.md", &host), (LOCK_FILE, &host)]));
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("a.rs: 501 lines"));
        assert!(problems[1].starts_with("b.rs:2: "));
        assert!(problems[2].starts_with("c.md:1: "));
        assert_eq!(check(&tree(&[("a.rs", &"//\n".repeat(LINES_MAX))])), [""; 0]);
    }
}
