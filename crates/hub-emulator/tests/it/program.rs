//! The emulator as a program.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{http, within};

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hub-emulator"));
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The addresses in the line that says the program is ready, by service.
async fn services(child: &mut Child) -> Vec<(String, std::net::SocketAddr)> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within(lines.next_line()).await.unwrap().expect("a line");
    let ready: serde_json::Map<String, Value> = serde_json::from_str(&line).unwrap();
    let address = |url: &Value| url.as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
    ready.iter().map(|(service, url)| (service.clone(), address(url))).collect()
}

/// The address of the ftrack side, which is the only one.
async fn ready(child: &mut Child) -> std::net::SocketAddr {
    let services = services(child).await;
    assert!(services.len() == 1 && services[0].0 == "ftrack", "{services:?}");
    services[0].1
}

#[tokio::test]
async fn the_program_says_where_it_listens_and_admits_its_users() {
    let mut child =
        program(&["--ftrack", "127.0.0.1:0", "--user", "ann:key-marked", "--user", "b:c:d"]).spawn().unwrap();
    let address = ready(&mut child).await;
    for (query, status) in
        [("api_user=ann&api_key=key-marked", 200), ("api_user=b:c&api_key=d", 200), ("", 403)]
    {
        let (got, _) = http(address, &format!("GET /socket.io/1/?{query} HTTP/1.1"), "").await;
        assert_eq!(got, status, "{query}");
    }
}

#[tokio::test]
async fn the_program_serves_what_it_is_asked_to() {
    let (ftrack, imodelhub) = (["--ftrack", "127.0.0.1:0"], ["--imodelhub", "127.0.0.1:0"]);
    for (args, expected) in [
        (&ftrack[..], &["ftrack"][..]),
        (&imodelhub[..], &["imodelhub"]),
        (&[ftrack, imodelhub].concat(), &["ftrack", "imodelhub"]),
    ] {
        let mut child = program(args).spawn().unwrap();
        let services = services(&mut child).await;
        let names: Vec<&str> = services.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected);
        for (_, address) in services {
            assert_eq!(http(address, "GET /admin/state HTTP/1.1", "").await.0, 200);
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_admits_its_access_tokens_and_keeps_them_out_of_its_log() {
    let args = ["--imodelhub", "127.0.0.1:0", "--access-token", "token-marked"];
    let mut child = program(&args).env("RUST_LOG", "trace").spawn().unwrap();
    let address = services(&mut child).await[0].1;
    let sas = "POST /sv1.1/Repositories/Global--Global/GlobalScope/GlobalEventSAS/ HTTP/1.1";
    for (token, status) in [("token-marked", 200), ("other-marked", 401)] {
        let head = format!("{sas}\nAuthorization: Bearer {token}");
        assert_eq!(http(address, &head, "{}").await.0, status, "{token}");
    }
    let (_, captures) = http(address, "GET /admin/captures HTTP/1.1", "").await;
    assert!(captures.contains("[redacted]") && !captures.contains("marked"), "{captures}");
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").arg(&id).status().await.unwrap().success());
    let output = within(child.wait_with_output()).await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("stopping") && !log.contains("marked"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_ends_at_a_signal_and_keeps_keys_out_of_its_log() {
    for signal in ["-TERM", "-INT"] {
        let mut child = program(&["--user", "ann:key-marked"]).env("RUST_LOG", "trace").spawn().unwrap();
        let address = ready(&mut child).await;
        http(address, "GET /socket.io/1/?api_user=ann&api_key=key-marked HTTP/1.1", "").await;
        let id = child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
        let output = within(child.wait_with_output()).await.unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        assert!(log.contains("stopping") && !log.contains("marked"), "{log}");
    }
}

#[tokio::test]
async fn the_program_refuses_what_it_should_and_says_what_to_do() {
    for (args, says) in [
        (&["--ftrack", "0.0.0.0:0"][..], "127.0.0.1"),
        (&["--imodelhub", "0.0.0.0:0"], "127.0.0.1"),
        (&["--imodelhub", "127.0.0.1:0", "--access-token", ""], "not empty"),
        (&["--user", "nokey"], "NAME:KEY"),
        (&["--allow-origin", "x"], "origin"),
    ] {
        let output = within(program(args).output()).await.unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && log.contains(says), "{log}");
        assert!(output.stdout.is_empty());
    }
    let mut child = program(&["--ftrack", "0.0.0.0:0", "--allow-remote"]).spawn().unwrap();
    let port = ready(&mut child).await.port();
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(http(local, "GET / HTTP/1.1", "").await.0, 200);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn the_program_speaks_tls_and_writes_down_whom_to_trust() {
    let file = std::env::temp_dir().join(format!("hub-emulator-{}.pem", std::process::id()));
    let args = ["--ftrack", "127.0.0.1:0", "--imodelhub", "127.0.0.1:0", "--tls", file.to_str().unwrap()];
    let mut child = program(&args).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within(lines.next_line()).await.unwrap().expect("a line");
    let ready: serde_json::Map<String, Value> = serde_json::from_str(&line).unwrap();
    assert!(
        ready.len() == 2 && ready.values().all(|url| url.as_str().unwrap().starts_with("https://127.0.0.1:"))
    );
    let pem = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n") && pem.ends_with("-----END CERTIFICATE-----\n"));
    // A client that speaks plainly is not served.
    let address = ready["ftrack"].as_str().unwrap().strip_prefix("https://").unwrap();
    let mut plain = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = within(tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let missing = within(program(&["--tls", "/no/such/folder/ca.pem"]).output()).await.unwrap();
    let log = String::from_utf8_lossy(&missing.stderr);
    assert!(!missing.status.success() && log.contains("/no/such/folder/ca.pem"), "{log}");
}
