//! A few values under keys, for leases and the like: `KV_<name>`, as every client of NATS sees it.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy};
use bytes::Bytes;
use event_core::{Error, ErrorKind, Result, Retry};

use crate::dial::Dialled;
use crate::errors;
use crate::jetstream::check_name;

/// The server's number for a stream that is not there.
const NO_STREAM: u64 = 10_059;

/// Describes a bucket. Only the latest value of each key is kept.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewBucket {
    name: String,
    lapse: Duration,
    replicas: usize,
}

impl NewBucket {
    /// A bucket of this name, of `A-Z a-z 0-9 - _`; its stream is `KV_<name>`. Default: values stay, one server keeps them.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), lapse: Duration::ZERO, replicas: 1 }
    }

    /// How long after it was written a value is gone; zero is never.
    pub fn lapse(mut self, time: Duration) -> Self {
        self.lapse = time;
        self
    }

    /// How many servers keep it.
    pub fn replicas(mut self, servers: usize) -> Self {
        self.replicas = servers;
        self
    }

    /// Written by hand: what the library would ask of a new bucket, nats-server 2.9 refuses.
    fn stream(&self) -> StreamConfig {
        let two_minutes = Duration::from_secs(120);
        StreamConfig {
            name: format!("KV_{}", self.name),
            subjects: vec![format!("$KV.{}.>", self.name)],
            max_messages_per_subject: 1,
            max_age: self.lapse,
            duplicate_window: if self.lapse.is_zero() { two_minutes } else { two_minutes.min(self.lapse) },
            num_replicas: self.replicas,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            ..StreamConfig::default()
        }
    }
}

/// A value that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// Which write it was; larger for every later one.
    pub revision: u64,
}

/// A few values under keys, on one connection. When that ends, every call fails, and another is to be opened.
///
/// # Cancel safety
///
/// Dropping the future of a write leaves open whether it happens, for all calls.
#[derive(Debug)]
pub struct Bucket {
    store: Store,
    peer: String,
}

impl Bucket {
    pub(crate) async fn open(
        dialled: Dialled,
        domain: Option<&str>,
        timeout: Duration,
        wanted: &NewBucket,
    ) -> Result<Self> {
        check_name("bucket", &wanted.name)?;
        let Dialled { client, peer, .. } = dialled;
        let offers = client.server_info().jetstream;
        let mut context = match domain {
            Some(domain) => jetstream::with_domain(client, domain),
            None => jetstream::new(client),
        };
        context.set_timeout(timeout);
        if !offers && domain.is_none() {
            return Err(errors::no_jetstream("open bucket", &peer, offers));
        }
        let missing = match context.get_stream(format!("KV_{}", wanted.name)).await {
            Ok(_) => false,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(said) if said.error_code().0 == NO_STREAM => true,
                _ => return Err(failed("open bucket", &wanted.name, &peer, error)),
            },
        };
        if missing && let Err(error) = context.create_stream(wanted.stream()).await {
            // Somebody else may have been quicker, with the same or other settings.
            let found = context.get_stream(format!("KV_{}", wanted.name)).await.is_ok();
            if !found {
                let refused = matches!(error.kind(), CreateStreamErrorKind::JetStream(_));
                let error = failed("create bucket", &wanted.name, &peer, error);
                return Err(if refused { error.with_retry(Retry::Backoff) } else { error });
            }
        }
        let store = context.get_key_value(wanted.name.clone()).await;
        let store = store.map_err(|error| failed("open bucket", &wanted.name, &peer, error))?;
        Ok(Self { store, peer })
    }

    /// Writes a value where none is. Gives its revision; `None` when there is one.
    ///
    /// # Errors
    ///
    /// When the server does not answer, or refuses.
    pub async fn create(&self, key: &str, value: impl Into<Bytes>) -> Result<Option<u64>> {
        match self.store.create(key, value.into()).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(self.failed("create value", error)),
        }
    }

    /// Writes a value in the place of the one of this revision. Gives its revision; `None` when that one is not there any
    /// more.
    ///
    /// # Errors
    ///
    /// As [`Bucket::create`].
    pub async fn replace(&self, key: &str, value: impl Into<Bytes>, revision: u64) -> Result<Option<u64>> {
        match self.store.update(key, value.into(), revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(error) => Err(self.failed("replace value", error)),
        }
    }

    /// Writes a value, whatever is there. Gives its revision.
    ///
    /// # Errors
    ///
    /// As [`Bucket::create`].
    pub async fn put(&self, key: &str, value: impl Into<Bytes>) -> Result<u64> {
        self.store.put(key, value.into()).await.map_err(|error| self.failed("put value", error))
    }

    /// The value that is there.
    ///
    /// # Errors
    ///
    /// As [`Bucket::create`].
    pub async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let found = self.store.entry(key).await.map_err(|error| self.failed("get value", error))?;
        let there = found.filter(|entry| entry.operation == Operation::Put);
        Ok(there.map(|entry| Entry { value: entry.value, revision: entry.revision }))
    }

    /// Takes the value of this revision away; another one stays, and that is an error.
    ///
    /// # Errors
    ///
    /// As [`Bucket::create`].
    pub async fn delete(&self, key: &str, revision: u64) -> Result<()> {
        let deleted = self.store.delete_expect_revision(key, Some(revision)).await;
        deleted.map_err(|error| self.failed("delete value", error))
    }

    fn failed(&self, op: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        failed(op, &self.store.name, &self.peer, error)
    }
}

fn failed(
    op: &'static str,
    bucket: &str,
    peer: &str,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    let message = format!("{peer} did not do it with the bucket \"{bucket}\": {cause}");
    Error::new(ErrorKind::Unreachable, op, message).with_source(cause)
}
