//! The real Kafka and the real MongoDB are got, started, killed, and started again with their data.

use std::time::{Duration, Instant};

use wiber_servers::progress::Progress;
use wiber_servers::{kafka, mongo, tools};

#[tokio::test(flavor = "multi_thread")]
async fn kafka_comes_back_on_its_port_after_a_kill() {
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
    assert!(kafka.process().status().is_some());
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
