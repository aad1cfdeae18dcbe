//! The real Kafka and the real MongoDB are got, started, killed, and started again with their data.

use std::time::{Duration, Instant};

use wiber_servers::progress::Progress;
use wiber_servers::{kafka, mongo, tools};

#[tokio::test(flavor = "multi_thread")]
async fn kafka_comes_back_after_a_kill_and_on_other_ports() {
    let dir = tempfile::tempdir().unwrap();
    let tools = tools::kafka(&tools::default_cache(), &Progress::new()).await.unwrap();
    let kafka = kafka::start(&tools, kafka::Options::new(dir.path())).await.unwrap();
    let (port, pid) = (kafka.port(), kafka.pid());
    kafka.kill().await;
    let began = Instant::now();
    kafka.start().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(kafka.port(), port);
    assert_ne!(kafka.pid(), pid);
    kafka.pause().unwrap();
    kafka.resume().unwrap();
    kafka.stop().await;
    // Other ports with the same data, as after a change of flags.
    let moved = kafka::start(&tools, kafka::Options::new(dir.path())).await.unwrap();
    assert_ne!(moved.port(), port);
}

#[tokio::test(flavor = "multi_thread")]
async fn mongodb_comes_back_after_a_kill_and_on_another_port() {
    let dir = tempfile::tempdir().unwrap();
    let tools = tools::mongo(&tools::default_cache(), &Progress::new()).await.unwrap();
    let first = mongo::start(&tools, mongo::Options::new(dir.path())).await.unwrap();
    first.kill().await;
    first.start().await.unwrap();
    assert_eq!(first.uri(), format!("mongodb://127.0.0.1:{}/?replicaSet=wiber", first.port()));
    let status = first.stop().await;
    assert!(status.success(), "{status}");
    // The set's configuration still names the first port.
    let second = mongo::start(&tools, mongo::Options::new(dir.path())).await.unwrap();
    assert_ne!(second.port(), first.port());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_form_a_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let tools = tools::kafka(&tools::default_cache(), &Progress::new()).await.unwrap();
    let quorum: Vec<_> =
        (1..=3).map(|node_id| kafka::Voter { node_id, controller_port: wiber_servers::ports::free() }).collect();
    let start = |index: usize| {
        let kafka::Voter { node_id, controller_port } = quorum[index];
        let options = kafka::Options {
            node_id,
            controller_port: Some(controller_port),
            quorum: quorum.clone(),
            ..kafka::Options::new(dir.path().join(node_id.to_string()))
        };
        kafka::start(&tools, options)
    };
    // Each is ready once it is a live broker of the cluster, for which two of the three must run.
    let (one, two, three) = tokio::try_join!(start(0), start(1), start(2)).unwrap();
    one.kill().await;
    for node in [&two, &three] {
        assert!(node.process().status().is_none());
    }
    one.start().await.unwrap();
}
