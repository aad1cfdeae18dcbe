//! A component has what `spin.toml` grants it and no more; what is refused is an honest 503, never a 500.

use libtest_mimic::Trial;
use wiber_tests::host::{self, Host};
use wiber_tests::node::Node;
use wiber_tests::stack::Plan;
use wiber_tests::{manifest, names, ports, run, tests, tests_on, wait};

pub(crate) fn manifest_tests() -> Vec<Trial> {
    tests![the_manifest_grants_no_more_than_is_said]
}

pub(crate) fn tests(host: Host) -> Vec<Trial> {
    tests_on![host;
        without_its_grant_a_component_answers_503,
        status_without_the_outbox_answers_503,
        a_database_that_is_not_configured_is_refused,
    ]
}

/// Design §1: which component may open the outbox and which may reach a host.
async fn the_manifest_grants_no_more_than_is_said() {
    let manifest = manifest::load();
    let grants = |component: &str, grant: &str| -> Vec<String> {
        let list = manifest["component"][component].get(grant).and_then(toml::Value::as_array);
        list.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let check = |component: &str, database: &[&str], hosts: &[&str]| {
        assert_eq!(grants(component, "sqlite_databases"), database, "{component}");
        assert_eq!(grants(component, "allowed_outbound_hosts"), hosts, "{component}");
    };
    check("send", &["outbox"], &[]);
    check("outbox", &["outbox"], &[]);
    check("fetch", &[], &["{{ bridge_url }}"]);
    check("status", &["outbox"], &["{{ bridge_url }}"]);
}

async fn without_its_grant_a_component_answers_503(host: Host) {
    let mut variant = manifest::load();
    manifest::revoke(&mut variant, "send", "sqlite_databases");
    manifest::revoke(&mut variant, "outbox", "sqlite_databases");
    manifest::revoke(&mut variant, "fetch", "allowed_outbound_hosts");
    manifest::revoke(&mut variant, "status", "allowed_outbound_hosts");
    let stack = Plan::new("grants").host(host).manifest(variant).start_unready().await;
    let (alice, bob) = names::pair();
    let _ = stack.client.sending(&alice, &bob, "x").go().await.problem(503);
    for path in [
        format!("/messages/{alice}/{bob}"),
        format!("/messages/user/{alice}"),
        "/messages/count".to_owned(),
        "/messages/id/msg_1_e10628bb5f1c4d2a9b07".to_owned(),
    ] {
        let _ = stack.client.get(&path).await.problem(503);
    }
    let statistics = stack.client.call("GET", wiber_model::outbox::STATISTICS).bearer(&stack.outbox_token);
    let _ = statistics.go().await.problem(503);
    let readiness = stack.client.get("/health/readiness").await.expect(503).json();
    assert_eq!(readiness["bridge"], "disconnected", "{readiness}");
    let _ = stack.client.get("/health/readiness/fetch").await.expect(503);
    let _ = stack.client.get("/health/liveness").await.expect(200);
}

async fn status_without_the_outbox_answers_503(host: Host) {
    let mut variant = manifest::load();
    manifest::revoke(&mut variant, "status", "sqlite_databases");
    let stack = Plan::new("grants-status").host(host).manifest(variant).start_unready().await;
    let readiness = stack.client.get("/health/readiness").await.expect(503).json();
    assert_eq!(readiness["outbox"], "not durable", "{readiness}");
    // Send answers for itself.
    let _ = stack.client.get("/health/readiness/send").await.expect(200);
    let _ = stack.client.get("/messages/id/msg_1_e10628bb5f1c4d2a9b07").await.problem(503);
    let _ = stack.client.get("/health/liveness").await.expect(200);
}

/// The label is not `default`: a start without the runtime configuration would open a second outbox somewhere else.
async fn a_database_that_is_not_configured_is_refused(host: Host) {
    let folder = run::subfolder(&names::unique("unconfigured"));
    let runtime_config = folder.join("runtime-config.toml");
    std::fs::write(&runtime_config, "").expect("the test's folder can be written");
    let manifest = manifest::write(&manifest::load(), &folder);
    let settings = host::Settings { manifest, runtime_config, port: ports::reserve(), variables: Vec::new() };
    let node = Node::new(host::spec(host, &settings, &folder));
    node.start();
    let status = wait::until("the host's refusal", async || node.ended().ok_or_else(|| node.log_tail())).await;
    assert!(!status.success(), "{status}");
    assert!(node.log().contains("outbox"), "the refusal names the label:\n{}", node.log());
}
