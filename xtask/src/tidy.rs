//! The tree's own rules: what no compiler and no other tool checks, so that code and documents cannot drift apart.

mod crates;
mod image;
mod links;
mod settings;
mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// Checks every rule.
///
/// # Errors
/// All violations, each with file and what would be right.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    eprintln!("$ tidy");
    let tree = Tree::read(root)?;
    let problems: Vec<String> = [text::check, links::check, crates::check, image::check, settings::check]
        .into_iter()
        .flat_map(|rule| rule(&tree))
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    bail!("tidy found {} problems:\n      {}", problems.len(), problems.join("\n      "))
}

/// One text file of the checkout.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

/// Every text file that is committed or could be.
struct Tree {
    root: PathBuf,
    files: Vec<File>,
}

impl Tree {
    fn read(root: &Path) -> anyhow::Result<Self> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
        let output = git.output().context("cannot run git, which knows the checkout's files")?;
        if !output.status.success() {
            bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let paths = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
        let paths = paths.split('\0').filter(|path| !path.is_empty());
        // A file that was removed and not committed yet is listed too; one that is no text has nothing to check.
        let files = paths.filter_map(|path| {
            let text = fs::read_to_string(root.join(path)).ok()?;
            Some(File { path: path.to_owned(), text })
        });
        Ok(Self { root: root.to_path_buf(), files: files.collect() })
    }

    fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.rsplit_once('.').is_some_and(|(_, end)| end == extension))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        check(root).unwrap_or_else(|problems| panic!("{problems:#}"));
    }

    /// A tree of the files given, for the tests of the rules.
    pub(super) fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
        Tree { root: PathBuf::from("/nowhere"), files }
    }
}
