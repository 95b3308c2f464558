//! Starts and stops `nats-server` for tests and measurements.
//!
//! [`NatsServer`] is one server with a store in a temporary folder: it can be killed, started again on the same port and
//! store, and is killed when it is dropped. [`Cluster`] is three of them. [`Relay`] stands between a client and a server and
//! cuts, refuses or holds what goes through. [`RawClient`] speaks to a server without anybody's library.
//!
//! Where no `nats-server` is installed, [`NatsServer::find`] says so, and tests skip themselves by [`skipped`], which tells
//! their name; with `NATS_SERVER=required` in the environment it panics instead. `NATS_SERVER_LEFT_OUT` may name a file to
//! which the names are written, for whoever does not see what tests say.

mod cluster;
mod config;
mod raw;
mod relay;
mod server;

use std::io::Write as _;

pub use cluster::Cluster;
pub use config::ServerConfig;
pub use raw::RawClient;
pub use relay::Relay;
pub use server::NatsServer;

/// Whether a test that needs the server is to be left out because none is installed; tells its name if so.
///
/// ```no_run
/// # fn test() {
/// if nats_server::skipped("an_event_is_stored") {
///     return;
/// }
/// # }
/// ```
///
/// # Panics
///
/// When none is installed and `NATS_SERVER=required`.
pub fn skipped(test: &str) -> bool {
    if NatsServer::find().is_some() {
        return false;
    }
    let required = std::env::var("NATS_SERVER").is_ok_and(|value| value == "required");
    assert!(!required, "{test} needs nats-server, and none is installed ({HOW})");
    // Past the test's own output, which is shown only when it fails.
    let _ = writeln!(std::io::stderr(), "skipped: {test} needs nats-server ({HOW})");
    if let Some(list) = std::env::var_os("NATS_SERVER_LEFT_OUT") {
        let appended = std::fs::File::options().create(true).append(true).open(list);
        // One write: tests of other processes append, too.
        let written = appended.and_then(|mut list| list.write_all(format!("{test}\n").as_bytes()));
        assert!(written.is_ok(), "{test} is skipped and cannot be written down: {written:?}");
    }
    true
}

/// How to get one.
pub const HOW: &str = "on Debian and Ubuntu: apt-get install nats-server";
