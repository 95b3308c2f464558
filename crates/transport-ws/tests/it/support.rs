//! What the tests share: recordings, a start time, the number of random cases.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::test_runner::Config;
use serde_json::Value;
use transport_ws::session::{Output, Session};

/// The recordings of the official clients.
pub(crate) const CLIENTS: [&str; 5] = [
    "ftrack-js-1.11.2-functional",
    "ftrack-js-1.11.2-story",
    "ftrack-js-head-story",
    "ftrack-python-3.1.0-functional",
    "ftrack-python-3.1.0-story",
];

/// Every packet form sent to the real server, and its answers.
pub(crate) const PROBE: &str = "ftrack-server-probe";

/// One line of a recording.
pub(crate) struct Record(Value);

impl Record {
    pub(crate) fn kind(&self) -> &str {
        self.0["kind"].as_str().unwrap()
    }

    pub(crate) fn is_from_server(&self) -> bool {
        self.0["dir"] == "server->client"
    }

    pub(crate) fn connection(&self) -> u64 {
        self.0["conn"].as_u64().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        self.0["text"].as_str().unwrap()
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.0.get("text_truncated_from").is_some()
    }

    /// The HTTP message as it was on the wire: first line, headers, body with its chunk framing.
    pub(crate) fn http(&self) -> String {
        let headers = self.0["headers"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        let lines: Vec<&str> = std::iter::once(self.text()).chain(headers).collect();
        format!("{}\r\n\r\n{}", lines.join("\r\n"), self.0["body"].as_str().unwrap_or(""))
    }
}

pub(crate) fn records(name: &str) -> Vec<Record> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("{name}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| Record(serde_json::from_str(line).unwrap())).collect()
}

/// `PROPTEST_CASES` cases if it is set, else so many: all properties together are to take some ten seconds of an
/// unoptimized build.
pub(crate) fn cases(default: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().map_or(default, |cases| cases.parse().unwrap());
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Some instant; tests make the others from it.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made from nothing")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}
