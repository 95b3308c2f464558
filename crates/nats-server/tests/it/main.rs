//! The harness itself: servers start, die and come back on the same store.

use std::time::Duration;

use nats_server::{Cluster, NatsServer, Relay, ServerConfig, skipped};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

async fn greeting(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address.trim_start_matches("nats://")).await.ok()?;
    let mut start = [0; 4];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut start)).await.ok()?.ok()?;
    String::from_utf8(start.to_vec()).ok()
}

#[tokio::test]
async fn a_server_is_killed_and_starts_again_on_its_port_and_is_gone_when_dropped() {
    if skipped("a_server_is_killed_and_starts_again_on_its_port_and_is_gone_when_dropped") {
        return;
    }
    let server = NatsServer::start(ServerConfig::default()).await.unwrap();
    let address = server.address();
    assert_eq!(greeting(&address).await.as_deref(), Some("INFO"));
    server.kill();
    assert!(!server.is_running() && greeting(&address).await.is_none());
    server.restart().await.unwrap();
    assert_eq!(greeting(&address).await.as_deref(), Some("INFO"));
    let folder = server.folder().to_owned();
    drop(server);
    assert!(greeting(&address).await.is_none() && !folder.exists());
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_told_with_the_servers_words() {
    if skipped("a_configuration_that_cannot_be_used_is_told_with_the_servers_words") {
        return;
    }
    let error = NatsServer::start(ServerConfig::default().with("max_payload: no number")).await.unwrap_err();
    assert!(error.to_string().contains("Parse error on line 5"), "{error}");
}

#[tokio::test]
async fn three_servers_find_a_leader_and_go_on_with_two() {
    if skipped("three_servers_find_a_leader_and_go_on_with_two") {
        return;
    }
    let cluster = Cluster::start().await.unwrap();
    assert_eq!(cluster.urls().len(), 3);
    cluster.servers()[0].kill();
    cluster.ready().await.unwrap();
    cluster.servers()[0].restart().await.unwrap();
    cluster.healthy().await.unwrap();
    cluster.servers()[1].stop().await.unwrap();
    assert!(!cluster.servers()[1].is_running());
    cluster.ready().await.unwrap();
}

#[tokio::test]
async fn a_relay_passes_on_refuses_and_cuts() {
    if skipped("a_relay_passes_on_refuses_and_cuts") {
        return;
    }
    let server = NatsServer::start(ServerConfig::default().without_jetstream()).await.unwrap();
    let relay = Relay::start(server.address()).await.unwrap();
    assert_eq!(greeting(&relay.url()).await.as_deref(), Some("INFO"));
    relay.refuse(true);
    assert_eq!(greeting(&relay.url()).await, None);
    relay.refuse(false);
    let mut open = TcpStream::connect(relay.url().trim_start_matches("nats://")).await.unwrap();
    let mut all = Vec::new();
    assert!(open.read_u8().await.is_ok());
    relay.cut();
    tokio::time::timeout(Duration::from_secs(5), open.read_to_end(&mut all)).await.unwrap().ok();
    assert_eq!(relay.accepted(), 3);
}
