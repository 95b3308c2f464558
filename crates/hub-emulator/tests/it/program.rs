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

/// The address in the line that says the program is ready.
async fn ready(child: &mut Child) -> std::net::SocketAddr {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within(lines.next_line()).await.unwrap().expect("a line");
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready.as_object().unwrap().len(), 1, "{line}");
    ready["ftrack"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap()
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
