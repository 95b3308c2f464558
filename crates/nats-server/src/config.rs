//! What a server is told.

use std::fmt::Write as _;
use std::path::Path;

/// What a server is told. Default: JetStream on, everybody may connect.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerConfig {
    pub(crate) jetstream: bool,
    pub(crate) max_payload: Option<usize>,
    pub(crate) more: String,
    pub(crate) cluster: Option<Member>,
}

/// A member of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) routes: Vec<u16>,
    /// Where it tells of its health.
    pub(crate) monitor: u16,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { jetstream: true, max_payload: None, more: String::new(), cluster: None }
    }
}

impl ServerConfig {
    /// Without JetStream.
    pub fn without_jetstream(mut self) -> Self {
        self.jetstream = false;
        self
    }

    /// The largest message that it takes, in bytes.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = Some(bytes);
        self
    }

    /// More of its configuration, in its own language: users, TLS, limits.
    pub fn with(mut self, more: impl AsRef<str>) -> Self {
        self.more.push_str(more.as_ref());
        self.more.push('\n');
        self
    }

    /// Where it tells of its health, if it is a member of a cluster.
    pub(crate) fn monitor(&self) -> Option<String> {
        self.cluster.as_ref().map(|member| format!("127.0.0.1:{}", member.monitor))
    }

    /// The whole configuration file.
    pub(crate) fn text(&self, port: u16, folder: &Path) -> String {
        let mut text = format!("host: 127.0.0.1\nport: {port}\nmax_control_line: 4096\n");
        let mut line = |line: String| _ = writeln!(text, "{line}");
        if self.jetstream {
            let store = folder.join("store");
            line(format!(
                "jetstream {{ store_dir: {:?}, max_mem: 256MB, max_file: 2GB }}",
                store.display().to_string()
            ));
        }
        if let Some(bytes) = self.max_payload {
            line(format!("max_payload: {bytes}"));
        }
        if let Some(Member { name, port, routes, monitor }) = &self.cluster {
            let routes: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
            line(format!("server_name: {name}"));
            line(format!("http: \"127.0.0.1:{monitor}\""));
            line(format!("cluster {{ name: tests, listen: \"127.0.0.1:{port}\", routes: {routes:?} }}"));
        }
        text.push_str(&self.more);
        text
    }
}
