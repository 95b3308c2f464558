//! JetStream's side of a link: that the stream is there, and its consumers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, IntoConsumerConfig, pull};
use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy, StorageType};
use async_nats::{Message, StatusCode};
use bytes::Bytes;
use event_core::{Error, ErrorKind, Result, SubscriptionId, SubscriptionSpec};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;

use super::Shared;
use super::publish::read_answer;
use crate::errors;
use crate::filter::Filters;
use crate::jetstream::{JetStream, NewStream, check_name};
use crate::transport::Known;

/// As much of a stream as is looked at.
#[derive(serde::Deserialize)]
struct Info {
    config: StreamFacts,
}

/// What links need to know of the stream.
#[derive(Clone, Default, serde::Deserialize)]
pub(crate) struct StreamFacts {
    /// The subjects that it takes.
    #[serde(default)]
    pub(crate) subjects: Vec<String>,
    /// How many servers keep it.
    #[serde(default, rename = "num_replicas")]
    pub(crate) replicas: usize,
}

/// Looks whether the stream is there, and creates it if that was asked for.
pub(super) async fn prepare(shared: &Shared, settings: &JetStream) -> Result<()> {
    let known = shared.config.known.lock().stream.clone();
    if let Some(facts) = known {
        shared.state.lock().stream = facts;
        return Ok(());
    }
    let all = shared.config.subjects.all();
    let facts = stream(shared, settings, &settings.stream, &[all]).await?;
    if let (Some(prefix), Some(_)) = (&settings.dead_letters, &settings.create) {
        stream(shared, settings, &settings.dead_stream(), &[format!("{prefix}.>")]).await?;
    }
    shared.config.known.lock().stream = Some(facts.clone());
    shared.state.lock().stream = facts;
    Ok(())
}

/// A stream, which is created if it is not there and that was asked for.
async fn stream(
    shared: &Shared,
    settings: &JetStream,
    name: &str,
    subjects: &[String],
) -> Result<StreamFacts> {
    const OP: &str = "connect";
    let what = format!("the stream \"{name}\"");
    let found = shared.api::<Info>(OP, &what, settings.api(&format!("STREAM.INFO.{name}")), &()).await;
    let info = match (found, &settings.create) {
        (Err(error), Some(new)) if error.kind() == ErrorKind::NotFound => {
            let call = settings.api(&format!("STREAM.CREATE.{name}"));
            shared.api::<Info>(OP, &what, call, &new_stream(name, subjects, new)).await?
        }
        (found, _) => found?,
    };
    Ok(info.config)
}

fn new_stream(name: &str, subjects: &[String], new: &NewStream) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        subjects: subjects.to_vec(),
        num_replicas: new.replicas,
        max_age: new.max_age,
        max_bytes: new.max_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1),
        // Neither may be longer than what is kept.
        duplicate_window: if new.max_age.is_zero() {
            new.duplicates
        } else {
            new.duplicates.min(new.max_age)
        },
        storage: if new.in_memory { StorageType::Memory } else { StorageType::File },
        discard: DiscardPolicy::Old,
        ..StreamConfig::default()
    }
}

/// The consumer that a subscription asks for.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) durable: bool,
    config: pull::Config,
}

impl Wanted {
    /// What it is asked to be, to compare.
    fn settings(&self) -> String {
        format!("{:?}", self.config)
    }

    /// Whether it was there, like this, when a link last looked.
    pub(super) fn is_known(&self, shared: &Shared) -> bool {
        let known = shared.config.known.lock();
        known.stream.is_some()
            && known.consumers.get(&self.name).is_some_and(|known| *known == self.settings())
    }

    pub(super) fn by(shared: &Shared, settings: &JetStream, spec: &SubscriptionSpec) -> Result<Self> {
        let filters = Filters::of(&shared.config.subjects, spec.expression.as_ref());
        let mut config = pull::Config {
            deliver_policy: if settings.from_the_beginning && spec.durable.is_some() {
                DeliverPolicy::All
            } else {
                DeliverPolicy::New
            },
            ack_policy: AckPolicy::Explicit,
            ack_wait: settings.ack_wait,
            // Links give up by themselves what was delivered too often.
            max_deliver: -1,
            // Each link has a window of its own.
            max_ack_pending: -1,
            filter_subject: filters.single(&shared.config.subjects),
            ..pull::Config::default()
        };
        let name = if let Some(name) = &spec.durable {
            check_name("durable subscription", name)?;
            config.durable_name = Some(name.clone());
            name.clone()
        } else {
            let name = unnamed(&shared.config.own, &spec.id);
            config.name = Some(name.clone());
            config.inactive_threshold = settings.inactive.max(Duration::from_secs(1));
            // By itself the server keeps such a consumer on one server only, whose end would be its own.
            config.num_replicas = shared.state.lock().stream.replicas;
            name
        };
        Ok(Self { name, durable: spec.durable.is_some(), config })
    }
}

/// The name of the consumer of an unnamed subscription: the same on every link of the transport, so that a new connection
/// goes on where the old one stopped.
fn unnamed(own: &str, id: &SubscriptionId) -> String {
    let mut hasher = DefaultHasher::new();
    id.as_str().hash(&mut hasher);
    format!("sub-{own}-{:016x}", hasher.finish())
}

impl Shared {
    /// Creates a consumer, or finds it as it is asked for.
    pub(super) async fn create_consumer(&self, settings: &JetStream, wanted: &Wanted) -> Result<()> {
        let Wanted { name, config, .. } = wanted;
        let call = format!("CONSUMER.CREATE.{}.{name}.{}", settings.stream, config.filter_subject);
        let asked = json!({ "stream_name": settings.stream, "config": config.into_consumer_config() });
        let what = format!("the consumer \"{name}\"");
        self.api::<IgnoredAny>("subscribe", &what, settings.api(&call), &asked).await?;
        self.config.known.lock().consumers.insert(name.clone(), wanted.settings());
        Ok(())
    }

    /// Makes what is not there any more: the stream, if it is ours to create, and the consumer.
    pub(super) async fn create_again(&self, wanted: &Wanted) -> Result<()> {
        let Some(settings) = &self.config.jetstream else { return Ok(()) };
        prepare(self, settings).await?;
        self.create_consumer(settings, wanted).await
    }

    /// Something that was known to be there is not.
    pub(super) fn forget_known(&self) {
        *self.config.known.lock() = Known::default();
    }

    /// Deletes a consumer that nobody will use any more.
    pub(super) async fn delete_consumer(&self, settings: &JetStream, name: &str) -> Result<()> {
        let call = settings.api(&format!("CONSUMER.DELETE.{}.{name}", settings.stream));
        self.config.known.lock().consumers.remove(name);
        self.api::<IgnoredAny>("unsubscribe", &format!("the consumer \"{name}\""), call, &()).await.map(drop)
    }

    /// Whether a consumer is still there.
    pub(super) async fn consumer_is_there(&self, name: &str) -> Result<()> {
        let Some(settings) = &self.config.jetstream else { return Ok(()) };
        let call = settings.api(&format!("CONSUMER.INFO.{}.{name}", settings.stream));
        self.api::<IgnoredAny>("receive", &format!("the consumer \"{name}\""), call, &()).await.map(drop)
    }

    /// Whether the stream is still there.
    pub(super) async fn stream_is_there(&self) -> Result<()> {
        let Some(settings) = &self.config.jetstream else { return Ok(()) };
        let call = settings.api(&format!("STREAM.INFO.{}", settings.stream));
        self.api::<IgnoredAny>("publish", &format!("the stream \"{}\"", settings.stream), call, &())
            .await
            .map(drop)
    }

    /// One call of JetStream's API.
    async fn api<T: DeserializeOwned>(
        &self,
        op: &'static str,
        what: &str,
        call: String,
        asked: &impl Serialize,
    ) -> Result<T> {
        let unusable = |cause: serde_json::Error| {
            Error::new(ErrorKind::Protocol, op, format!("JetStream's word on {what} is not understood"))
                .with_source(cause)
        };
        let asked = serde_json::to_vec(asked).map_err(unusable)?;
        let asked = if asked == b"null" { Bytes::new() } else { asked.into() };
        let answer: Message = self.ask(op, call, None, asked).await?;
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(errors::no_jetstream(op, &self.peer, self.offers_jetstream));
        }
        read_answer(self, op, what, &answer)?;
        serde_json::from_slice(&answer.payload).map_err(unusable)
    }
}
