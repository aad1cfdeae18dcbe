//! The bridge's image: its builder is sent every folder that the workspace's manifest names, or cargo refuses to begin.

use std::collections::BTreeSet;

use super::Tree;

const IGNORED: &str = "docker/Dockerfile.bridge.dockerignore";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let text = |path: &str| tree.files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let (Some(manifest), Some(ignored)) = (text("Cargo.toml"), text(IGNORED)) else { return Vec::new() };
    let Ok(manifest) = manifest.parse::<toml::Table>() else { return Vec::new() };
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    let folders: BTreeSet<&str> = members
        .into_iter()
        .flatten()
        .filter_map(|member| member.as_str()?.split('/').next())
        .filter(|folder| !ignored.lines().any(|line| line.strip_prefix('!') == Some(folder)))
        .collect();
    folders.into_iter().map(|folder| format!("{IGNORED}: add !{folder}, which the workspace names")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn a_folder_of_the_workspace_must_be_sent() {
        let manifest = "[workspace]\nmembers = [\"bridge\", \"crates/model\", \"crates/wal\", \"cli\"]";
        let problems = check(&tree(&[("Cargo.toml", manifest), (IGNORED, "*\n!bridge\n!crates\n")]));
        assert_eq!(problems, [format!("{IGNORED}: add !cli, which the workspace names")]);
    }
}
