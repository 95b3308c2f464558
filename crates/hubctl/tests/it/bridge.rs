//! `hubctl bridge`, with a server of NATS.

use nats_server::{NatsServer, ServerConfig, skipped};

use crate::support::{Served, bare};

/// What a line says, behind the time.
fn said(line: &str) -> &str {
    line.get(14..).unwrap_or_default().trim_end()
}

#[cfg(unix)]
#[test]
fn a_bridge_shows_what_goes_through_and_hands_over_at_ctrl_c() {
    if skipped("a_bridge_shows_what_goes_through_and_hands_over_at_ctrl_c") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let nats = runtime.block_on(NatsServer::start(ServerConfig::default())).unwrap();
    let served = Served::start(&[]);
    let (url, folder) = (nats.url(), served.folder());
    let config = folder.join("config.toml");
    let text = format!("[profiles.bridge]\nnats = [\"{url}\"]\n");
    std::fs::write(&config, text).unwrap();
    let flags = [
        "bridge",
        "--nats",
        &url,
        "--create",
        "--lease",
        "20",
        "--holder",
        "first",
        "--dead-letters",
        "dead",
    ];
    let mut first = served.start_command(&flags);
    assert_eq!(said(&first.line()), "-- the lease is won; connecting");
    assert_eq!(said(&first.line()), "-- active");
    let profile = ["--profile", "bridge", "--config", config.to_str().unwrap()];
    let flags =
        [&["bridge", "--lease", "20", "--create", "--forward", "topic=render"], &profile[..]].concat();
    let mut second = served.start_command(&flags);
    assert_eq!(said(&second.line()), "-- waiting: first is active");

    served.ok(&["publish", "render", "--data", r#"{"shot":"sh010"}"#]);
    let line = first.line();
    assert!(line.contains(" forward  render  jane  "), "{line}");

    first.interrupt();
    let (code, rest, errors) = first.end();
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(rest.ends_with("-- ended: 1 forwarded, 0 brought back, 0 gap(s)\n"), "{rest}");
    assert_eq!(said(&second.line()), "-- the lease is won; connecting");
    let gap = second.line();
    assert!(said(&gap).starts_with("-- events of ") && gap.contains("another bridge took over"), "{gap}");
    assert_eq!(said(&second.line()), "-- active");
    second.interrupt();
    assert_eq!(second.end().0, Some(0));
}

#[test]
fn what_a_bridge_needs_is_said_before_it_starts() {
    let run = |args: &[&str]| {
        let output =
            bare(args).env("FTRACK_SERVER", "http://127.0.0.1:1").env_remove("NATS_URL").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["bridge"]);
    assert_eq!(code, Some(2));
    assert!(said.starts_with("hubctl: no server of NATS: give --nats or NATS_URL"), "{said}");
    let (code, said) = run(&["bridge", "--nats", "nats://127.0.0.1:1", "--forward", "topic="]);
    assert_eq!(code, Some(2));
    assert!(said.contains("does not parse"), "{said}");
    let (code, said) = run(&["bridge", "--nats", "nats://127.0.0.1:1", "--lease", "0.5"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("too short"), "{said}");
}
