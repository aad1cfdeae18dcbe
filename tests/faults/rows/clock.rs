//! The wall clock of a process, by libfaketime.

use std::path::Path;

use rand::seq::IndexedRandom as _;

use super::Context;
use crate::injection::{Done, Trouble};

const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1"];
const JUMPS: [&str; 4] = ["+1h", "-1h", "+30d", "-30d"];

/// The host, or both bridges, live in another time for a while, then in ours again.
pub(super) async fn jumps(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let library = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
    let missing = || Trouble::Unavailable("libfaketime is needed (apt-get install faketime)".into());
    let library = library.ok_or_else(missing)?;
    let jump = *JUMPS.choose(&mut context.draws).unwrap_or(&JUMPS[0]);
    let names = [vec!["host"], vec!["bridges"], vec!["host", "bridges"]];
    let victims = names.choose(&mut context.draws).cloned().unwrap_or_default();
    let nodes = || {
        let host = victims.contains(&"host").then(|| world.host());
        let bridges = world.working_bridges().filter(|_| victims.contains(&"bridges"));
        host.into_iter().chain(bridges)
    };
    let variables = [
        ("LD_PRELOAD", library),
        ("FAKETIME", jump),
        // Only the wall clock jumps.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for node in nodes() {
        node.set_environment(variables.clone());
        node.kill().await;
    }
    world.accepts().await?;
    let held = context.hold(4.0, 12.0).await;
    for node in nodes() {
        node.set_environment(Vec::new());
        node.kill().await;
    }
    Ok(Done { times: 2, detail: format!("{} at {jump} for {held:.1?}, then back", victims.join(" and ")) })
}
