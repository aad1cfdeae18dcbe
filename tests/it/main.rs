//! Every promise of the contract, on a real Kafka, a real MongoDB, the components in their host and the bridge: one file
//! a promise.
//!
//! `http` is the HTTP suite: it needs no more than a base URL, and runs once for each place that is present (the embedded
//! host, Spin where it is on the PATH, or only the deployment that `WIBER_TEST_URL` names). Promises that rest on the host
//! are tested on each host that is present, all others on the embedded one.

mod bridge_killed;
mod cors;
mod everything_down;
mod explain;
mod fsyncs;
mod grants;
mod host_killed;
mod http;
mod kafka_down;
mod large_bodies;
mod log_lost;
mod message_path;
mod mongodb_down;
mod outbox_file;
mod outbox_full;
mod outbox_log;
mod outbox_protocol;
mod poison;
mod sample;
mod shutdown;
mod start;
mod tokens;
mod topics;
mod two_bridges;
mod wiber;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use wiber_tests::host::Host;
use wiber_tests::site::{self, Place};
use wiber_tests::{binaries, names, run, servers, trial};

/// Tests wait more than they work, so more of them run at once than there are cores.
const TEST_THREADS: usize = 4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TEST_THREADS);
    let places = Place::present();
    let own_stacks = !places.contains(&Place::Url);
    let mut trials = if own_stacks { promises() } else { Vec::new() };
    trials.extend(places.iter().flat_map(|place| http::tests(*place)));
    if !arguments.list {
        if own_stacks {
            binaries::check_components();
        }
        println!("seed {} (WIBER_TEST_SEED repeats it)", names::seed());
    }
    // The place and the message; a backtrace of every waiting test's runtime would hide them.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let conclusion = libtest_mimic::run(&arguments, trials);
    trial::block_on(async {
        site::stop_all().await;
        servers::stop_all().await;
    });
    run::clean();
    conclusion.exit_code()
}

/// Tests of the whole system. Those that wait longest come first, so that the short ones fill the gaps, and those that
/// share the disturbable Kafka stand apart, so that they do not wait for each other.
fn promises() -> Vec<Trial> {
    let files = [
        kafka_down::tests(),
        bridge_killed::tests(),
        log_lost::tests(),
        two_bridges::tests(),
        on_each_host(host_killed::tests),
        everything_down::tests(),
        mongodb_down::tests(),
        poison::tests(),
        explain::tests(),
        fsyncs::tests(),
        shutdown::tests(),
        grants::manifest_tests(),
        on_each_host(grants::tests),
        start::tests(),
        on_each_host(outbox_file::tests),
        large_bodies::tests(Host::Embedded),
        on_each_host(outbox_full::tests),
        on_each_host(outbox_protocol::tests),
        outbox_log::tests(),
        tokens::tests(),
        topics::tests(),
        wiber::tests(),
        on_each_host(cors::tests),
        on_each_host(message_path::tests),
    ];
    files.into_iter().flatten().collect()
}

fn on_each_host(tests: fn(Host) -> Vec<Trial>) -> Vec<Trial> {
    Host::present().into_iter().flat_map(tests).collect()
}
