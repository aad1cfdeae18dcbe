//! Starting: where the host says that it serves, and how host and bridge refuse what they cannot start with.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use libtest_mimic::Trial;
use wiber_servers::process::Spec;
use wiber_tests::host::{self, Host};
use wiber_tests::node::Node;
use wiber_tests::{binaries, client::Client, manifest, names, run, tests, wait};

pub(crate) fn tests() -> Vec<Trial> {
    tests![
        the_host_says_where_it_listens,
        a_taken_port_is_refused,
        bad_settings_of_the_bridge_are_refused_all_together,
        help_names_every_setting,
    ]
}

fn host(port: u16) -> Node {
    let folder = run::subfolder(&names::unique("start"));
    let settings = host::Settings {
        manifest: manifest::write(&manifest::load(), &folder),
        runtime_config: manifest::write_runtime_config(&folder.join("outbox.db"), &folder),
        port,
        variables: Vec::new(),
    };
    Node::new(host::spec(Host::Embedded, &settings, &folder))
}

async fn the_host_says_where_it_listens() {
    let node = host(0);
    node.start();
    let url = wait::until("the host's address", async || {
        node.check_running()?;
        let log = node.log();
        let line = log.lines().find_map(|line| line.strip_prefix("listening on "));
        line.map(str::to_owned).ok_or(log)
    })
    .await;
    let answer = Client::functions(&url).get("/health/liveness").await;
    assert_eq!(answer.status, 200, "{answer}");
}

async fn ended(node: &Node) -> i32 {
    let status = wait::until("the end of a program", async || node.ended().ok_or_else(|| node.log_tail())).await;
    status.code().unwrap_or(-1)
}

async fn a_taken_port_is_refused() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let node = host(port);
    node.start();
    assert_eq!(ended(&node).await, 1);
    assert!(node.log().contains(&port.to_string()), "the refusal names the port:\n{}", node.log());
}

async fn bad_settings_of_the_bridge_are_refused_all_together() {
    let folder = run::subfolder(&names::unique("bad-settings"));
    let spec = Spec::new("bridge", binaries::program("wiber-bridge"), folder.join("bridge.log"))
        .env("WIBER_LISTEN", "nowhere")
        .env("WIBER_ROLES", "relay,juggler")
        .env("WIBER_OUTBOX_TOKEN", "a secret\nof two lines")
        .env("WIBER_SHUTDOWN_DEADLINE_MS", "soon");
    let node = Node::new(spec);
    node.start();
    assert_eq!(ended(&node).await, 2);
    let log = node.log();
    for name in ["WIBER_LISTEN", "WIBER_ROLES", "WIBER_OUTBOX_TOKEN", "WIBER_SHUTDOWN_DEADLINE_MS"] {
        assert!(log.contains(name), "{name} is not named in:\n{log}");
    }
    assert!(!log.contains("a secret"), "a secret is shown:\n{log}");
}

async fn help_names_every_setting() {
    let help = |program: &str| {
        let output = Command::new(binaries::program(program)).arg("--help").output().expect("it can be run");
        assert!(output.status.success(), "{program}: {}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let bridge = help("wiber-bridge");
    let settings = ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC", "KAFKA_CONSUMER_GROUP", "MONGO_URI", "MONGO_DB"];
    let own = ["MONGO_COLLECTION", "WIBER_ROLES", "WIBER_LISTEN", "WIBER_OUTBOX_URLS", "WIBER_OUTBOX_TOKEN"];
    let more = ["WIBER_QUERY_TOKEN", "WIBER_INSTANCE_ID", "WIBER_SHUTDOWN_DEADLINE_MS"];
    for name in settings.into_iter().chain(own).chain(more) {
        assert!(bridge.contains(name), "wiber-bridge --help lacks {name}");
    }
    let host = help("wiber-host");
    for name in ["--manifest", "--runtime-config-file", "--listen"] {
        assert!(host.contains(name), "wiber-host --help lacks {name}");
    }
}
