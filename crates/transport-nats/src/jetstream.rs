//! Settings of JetStream: which stream, and how it is consumed.

use std::time::Duration;

use event_core::{Error, ErrorKind, Result};

/// Publishes into a stream, and delivers from it at least once.
///
/// ```
/// use std::time::Duration;
/// use transport_nats::{JetStream, NewStream};
///
/// let jetstream = JetStream::new("EVENTS")
///     .create(NewStream::default().replicas(3).max_age(Duration::from_secs(7 * 86_400)))
///     .ack_wait(Duration::from_secs(30))
///     .delivery_limit(5)
///     .dead_letters("dead-letters");
/// # let _ = jetstream;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct JetStream {
    pub(crate) stream: String,
    pub(crate) create: Option<NewStream>,
    pub(crate) ack_wait: Duration,
    pub(crate) delivery_limit: Option<u32>,
    pub(crate) dead_letters: Option<String>,
    pub(crate) in_flight: usize,
    pub(crate) from_the_beginning: bool,
    pub(crate) inactive: Duration,
    pub(crate) domain: Option<String>,
}

impl JetStream {
    /// The stream of this name, of `A-Z a-z 0-9 - _`. It must exist, unless [`JetStream::create`] says otherwise.
    pub fn new(stream: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            create: None,
            ack_wait: Duration::from_secs(30),
            delivery_limit: None,
            dead_letters: None,
            in_flight: 256,
            from_the_beginning: false,
            inactive: Duration::from_secs(300),
            domain: None,
        }
    }

    /// Creates the stream when it is not there, and another for dead letters if those are kept; leaves them as they are
    /// when they are.
    pub fn create(mut self, settings: NewStream) -> Self {
        self.create = Some(settings);
        self
    }

    /// How long a delivery is locked; the hub prolongs that while it is worked on. Default 30 s, at least 1 s.
    pub fn ack_wait(mut self, wait: Duration) -> Self {
        self.ack_wait = wait;
        self
    }

    /// Gives an event up after it was delivered so often and never completed. Default: never.
    pub fn delivery_limit(mut self, deliveries: u32) -> Self {
        self.delivery_limit = Some(deliveries);
        self
    }

    /// Publishes events that are given up or rejected below this subject, with the reason as a header. Some stream must
    /// take it; without its word the event is not given up. Default: they are only counted and reported.
    pub fn dead_letters(mut self, prefix: impl Into<String>) -> Self {
        self.dead_letters = Some(prefix.into());
        self
    }

    /// How many deliveries a subscription may hold that are not settled, at most. Default 256. A subscription on a hub
    /// has no more than its buffer takes, either.
    pub fn in_flight(mut self, deliveries: usize) -> Self {
        self.in_flight = deliveries;
        self
    }

    /// Where a durable consumer that is not there yet begins: with everything the stream has. Default: with what is
    /// published from then on. Consumers without a name always begin there.
    pub fn from_the_beginning(mut self) -> Self {
        self.from_the_beginning = true;
        self
    }

    /// How long the server keeps a consumer without a name that nobody uses any more. Default 5 min.
    pub fn inactive_after(mut self, unused: Duration) -> Self {
        self.inactive = unused;
        self
    }

    /// The JetStream domain, where the stream is reached through a leaf node.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_name("stream", &self.stream)?;
        if let Some(prefix) = &self.dead_letters {
            crate::Subjects::new(prefix.as_str())?;
        }
        let amiss = if self.ack_wait < Duration::from_secs(1) {
            "a lock of less than a second lapses while an event is on its way; set ack_wait to 1 s or more"
        } else if self.in_flight == 0 {
            "with in_flight 0 nothing is delivered; set 1 or more"
        } else if self.delivery_limit == Some(0) {
            "with a delivery limit of 0 nothing is delivered; set 1 or more"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidInput, "build transport", amiss))
    }

    /// The stream of dead letters, where it is created.
    pub(crate) fn dead_stream(&self) -> String {
        format!("{}-dead-letters", self.stream)
    }

    /// A subject of JetStream's API.
    pub(crate) fn api(&self, call: &str) -> String {
        match &self.domain {
            Some(domain) => format!("$JS.{domain}.API.{call}"),
            None => format!("$JS.API.{call}"),
        }
    }
}

/// A stream that is to be created.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewStream {
    pub(crate) replicas: usize,
    pub(crate) max_age: Duration,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) duplicates: Duration,
    pub(crate) in_memory: bool,
}

impl Default for NewStream {
    /// One replica on disk, events kept for seven days, duplicates recognised for two minutes.
    fn default() -> Self {
        Self {
            replicas: 1,
            max_age: Duration::from_secs(7 * 86_400),
            max_bytes: None,
            duplicates: Duration::from_secs(120),
            in_memory: false,
        }
    }
}

impl NewStream {
    /// How many servers keep it.
    pub fn replicas(mut self, servers: usize) -> Self {
        self.replicas = servers;
        self
    }

    /// How long events are kept; zero is for ever.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How many bytes it may have; the oldest events go first.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// For how long an event with the same id is a duplicate, and is acknowledged without being stored.
    pub fn duplicates_within(mut self, window: Duration) -> Self {
        self.duplicates = window;
        self
    }

    /// Keeps it in the memory of the servers.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }
}

/// Names of streams and consumers, as every version of the server takes them.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=128).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let message = format!("\"{name}\" is no name of a {what}; use up to 128 letters, digits, - and _");
    Err(Error::new(ErrorKind::InvalidInput, "use JetStream", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_deliver_nothing_are_refused() {
        JetStream::new("EVENTS").check().unwrap();
        for amiss in [
            JetStream::new(""),
            JetStream::new("a.b"),
            JetStream::new("EVENTS").ack_wait(Duration::from_millis(999)),
            JetStream::new("EVENTS").in_flight(0),
            JetStream::new("EVENTS").delivery_limit(0),
            JetStream::new("EVENTS").dead_letters("a b"),
        ] {
            assert_eq!(amiss.check().unwrap_err().kind(), ErrorKind::InvalidInput, "{amiss:?}");
        }
    }
}
