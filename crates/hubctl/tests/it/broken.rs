//! Set-ups that are broken: what the doctor says, and that no command shows a key.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::support::{Served, bare};

/// A server that answers every connection so, once it has heard something.
fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
    });
    format!("http://{address}")
}

fn diagnosis(server: &str, user: &str, more: &[&str]) -> (Option<i32>, String) {
    let args = [&["doctor", "--server", server, "--user", user, "--timeout", "1"], more].concat();
    let output = bare(&args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains("4711"), "the key is shown: {said}");
    (output.status.code(), said)
}

#[test]
fn nothing_is_wrong() {
    let served = Served::start(&[]);
    let (code, said) = diagnosis(&served.ftrack, "jane", &["--stay", "0.1"]);
    assert_eq!(code, Some(0), "{said}");
    for step in ["address", "network", "clock", "handshake", "round trip", "heartbeat"] {
        assert!(said.contains(&format!("ok     {step}")), "{step}: {said}");
    }
    assert!(said.ends_with("\nnothing is wrong\n"), "{said}");
}

#[test]
fn broken_set_ups_are_told_apart() {
    let served = Served::start(&["--user", "jane:marked-4711"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tls = served.ftrack.replace("http://", "https://");
    let page = server(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<ht>",
    );
    for (what, url, user, wrong, mend) in [
        ("nobody listens", format!("http://{closed}"), "jane", "wrong  network", "check host and port"),
        ("TLS where there is none", tls, "jane", "wrong  network", "https only where"),
        ("another user", served.ftrack.clone(), "joe", "wrong  handshake", "check user and API key"),
        ("a web server", page, "jane", "wrong  handshake", "this is no event hub"),
        ("no scheme", "studio.example.com".to_owned(), "jane", "wrong  address", "write it as https://HOST"),
        ("a server that hangs up", server(b""), "jane", "wrong  handshake", "try: "),
    ] {
        let (code, said) = diagnosis(&url, user, &[]);
        assert_eq!(code, Some(3), "{what}: {said}");
        assert!(said.contains(wrong) && said.contains(mend), "{what}: {said}");
    }
}

#[test]
fn a_clock_that_is_off_is_noted() {
    let old = server(b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let (_, said) = diagnosis(&old, "jane", &[]);
    assert!(said.contains("note   clock"), "{said}");
}

#[test]
fn failures_have_their_codes_and_show_no_key() {
    let served = Served::start(&["--user", "jane:another"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (args, code, part) in [
        (vec!["publish", "t"], 3, "refused the credentials"),
        (vec!["tail", "topic="], 2, "the expression does not parse"),
        (vec!["publish", "t", "--data", "{"], 2, "--data: the text is not JSON"),
        (vec!["publish", "t", "--data", "@/no/such/file"], 2, "cannot read /no/such/file"),
        (vec!["replay", "/etc/hostname"], 1, "is no recording"),
        (vec!["tail", "--profile", "x"], 2, "no profile is called \"x\""),
        (vec!["tail", "--key-file", "/no/such/file"], 2, "cannot read the key"),
        (vec!["tail", "--no-such-flag"], 2, "--no-such-flag"),
    ] {
        let output = served.run(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
        assert!(!said.contains("4711") && !said.contains("panicked"), "{said}");
    }
    let output = bare(&["tail", "--server", &format!("http://{closed}")]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let taken = served.ftrack.strip_prefix("http://").unwrap();
    let output = bare(&["serve", "--ftrack", taken]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("try: other ports"));
}
