//! How the ftrack hub speaks: its meta events, its replies, the source that it expects.
//!
//! Measured on the official clients; see `docs/protocols/ftrack.md`.

use event_core::dialect::{Dialect, addressed_reply};
use event_core::transport::Acknowledgement;
use event_core::{
    Error, ErrorKind, Event, EventBuilder, EventId, Expression, Lifecycle, RawJson, Result, Subscriber,
    SubscriptionId, SubscriptionSpec,
};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

/// Topics of the hub's own conversation.
pub mod topics {
    /// Sent to subscribe.
    pub const SUBSCRIBE: &str = "ftrack.meta.subscribe";
    /// Sent to unsubscribe.
    pub const UNSUBSCRIBE: &str = "ftrack.meta.unsubscribe";
    /// An answer to an event.
    pub const REPLY: &str = "ftrack.meta.reply";
    /// Local, never sent: the hub is connected.
    pub const CONNECTED: &str = "ftrack.meta.connected";
    /// Local, never sent: the hub is not connected any more.
    pub const DISCONNECTED: &str = "ftrack.meta.disconnected";
}

/// The dialect of one hub.
#[derive(Clone, Debug)]
pub(crate) struct FtrackDialect {
    hub_id: SubscriptionId,
    /// What subscribers say of themselves beside what they are told to.
    defaults: Arc<Map<String, Value>>,
    /// What every published event says about where it came from.
    source: Map<String, Value>,
    /// The same as text: most events have no source of their own.
    source_json: Option<RawJson>,
    /// The same, signed by the subscriber that answered last: the next answer is mostly its as well.
    signed: Arc<Mutex<Option<(SubscriptionId, RawJson)>>>,
}

impl FtrackDialect {
    pub(crate) fn new(user: &str, application_id: &str, host: Option<String>) -> Self {
        let hub_id = SubscriptionId::random();
        let mut source = Map::new();
        source.insert("id".to_owned(), hub_id.as_str().into());
        source.insert("applicationId".to_owned(), application_id.into());
        source.insert("user".to_owned(), json!({ "username": user }));
        if let Some(host) = host {
            source.insert("host".to_owned(), host.into());
        }
        let source_json = RawJson::from_serialize(&source).ok();
        let mut defaults = Map::new();
        defaults.insert("applicationId".to_owned(), application_id.into());
        Self { hub_id, defaults: Arc::new(defaults), source, source_json, signed: Arc::default() }
    }

    pub(crate) fn hub_id(&self) -> &SubscriptionId {
        &self.hub_id
    }

    /// The source of an event that a subscriber of this hub signs: the hub's, with another id.
    fn source_of(&self, id: &SubscriptionId) -> Result<RawJson> {
        if let Some((last, source)) = &*self.signed.lock()
            && last == id
        {
            return Ok(source.clone());
        }
        let source = self.signed_by(id)?;
        *self.signed.lock() = Some((id.clone(), source.clone()));
        Ok(source)
    }

    fn signed_by(&self, id: &SubscriptionId) -> Result<RawJson> {
        let quoted = |id: &SubscriptionId| RawJson::from_serialize(id.as_str());
        let (ours, theirs) = (quoted(&self.hub_id)?, quoted(id)?);
        // The hub's id is random: nothing else in the text is like it.
        let signed = self
            .source_json
            .as_ref()
            .and_then(|source| source.as_str().split_once(ours.as_str()))
            .map(|(before, after)| [before, theirs.as_str(), after].concat());
        if let Some(signed) = signed {
            return RawJson::from_text(signed);
        }
        let mut source = self.source.clone();
        source.insert("id".to_owned(), id.as_str().into());
        RawJson::from_serialize(&source)
    }

    /// A meta event in the name of this hub.
    fn meta(&self, topic: &str, data: &Value) -> Option<Event> {
        let mut builder = Event::builder(topic).data(data);
        self.complete(&mut builder);
        builder.build().ok()
    }
}

impl Dialect for FtrackDialect {
    fn subscribe(&self, spec: &SubscriptionSpec) -> Option<Event> {
        let expression = spec.expression.as_ref()?.to_string();
        self.meta(
            topics::SUBSCRIBE,
            &json!({"subscriber": spec.subscriber.metadata(), "subscription": expression}),
        )
    }

    fn unsubscribe(&self, spec: &SubscriptionSpec) -> Option<Event> {
        self.meta(topics::UNSUBSCRIBE, &json!({"subscriber": spec.subscriber.metadata()}))
    }

    fn inbox(&self) -> Option<SubscriptionSpec> {
        let replies = Expression::topic(topics::REPLY).ok()?;
        Some(SubscriptionSpec::new(Subscriber::new(self.hub_id.clone()), Some(replies)))
    }

    fn complete_subscriber(&self, subscriber: &mut Subscriber) {
        subscriber.set_defaults(&self.defaults);
    }

    fn reply(&self, asked: &Event, by: &Subscriber, data: RawJson) -> Result<Event> {
        let mut reply = addressed_reply(topics::REPLY, asked, data)?;
        // As the official clients do, the answering subscriber signs, not the hub.
        reply.set_source_json(self.source_of(by.id())?);
        reply.build()
    }

    fn in_reply_to<'e>(&self, event: &'e Event) -> Option<&'e EventId> {
        if event.topic() == topics::REPLY { event.in_reply_to() } else { None }
    }

    fn local(&self, change: &Lifecycle) -> Option<Event> {
        match change {
            Lifecycle::Connected { .. } => self.meta(topics::CONNECTED, &json!({})),
            Lifecycle::Disconnected { .. } => self.meta(topics::DISCONNECTED, &json!({})),
            _ => None,
        }
    }

    fn complete(&self, event: &mut EventBuilder) {
        if let Some(source) = self.source_json.as_ref().filter(|_| !event.has_source()) {
            return event.set_source_json(source.clone());
        }
        let mut source = self.source.clone();
        source.extend(event.source_object());
        // Replies go to this id: another one would lose them.
        source.insert("id".to_owned(), self.hub_id.as_str().into());
        event.set_source(&source);
    }

    fn acknowledged(&self, acknowledgement: &Acknowledgement) -> Result<()> {
        let Some(data) = &acknowledgement.data else { return Ok(()) };
        // What the hub says of every event that it takes.
        if &data.as_bytes()[..] == br#"{"success":true}"# {
            return Ok(());
        }
        let Ok(answer) = data.to_value() else { return Ok(()) };
        if answer.get("success") != Some(&Value::Bool(false)) {
            return Ok(());
        }
        let reason = answer.get("message").or_else(|| answer.get("error")).and_then(Value::as_str);
        let message = format!("the server refused the event: {}", reason.unwrap_or("it gave no reason"));
        Err(Error::new(ErrorKind::Refused, "publish", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect() -> FtrackDialect {
        FtrackDialect::new("jane", "my.app", Some("ws-01".to_owned()))
    }

    #[test]
    fn a_source_is_filled_in_extended_by_the_caller_and_keeps_the_hubs_id() {
        let dialect = dialect();
        let mut builder = Event::builder("t").source_field("id", "mine").source_field("show", "dune");
        builder = builder.source_field("applicationId", "maya");
        dialect.complete(&mut builder);
        let event = builder.build().unwrap();
        assert_eq!(
            event.source(),
            &json!({"id": dialect.hub_id.as_str(), "applicationId": "maya", "user": {"username": "jane"}, "host": "ws-01", "show": "dune"})
        );
    }

    #[test]
    fn an_event_without_a_source_gets_that_of_the_hub() {
        let dialect = dialect();
        for text in [r#"{"topic":"t"}"#, r#"{"source":null,"topic":"t"}"#] {
            let mut builder = Event::from_json(text).unwrap().to_builder();
            dialect.complete(&mut builder);
            let event = builder.build().unwrap();
            assert_eq!(
                event.source(),
                &json!({"id": dialect.hub_id.as_str(), "applicationId": "my.app", "user": {"username": "jane"}, "host": "ws-01"})
            );
        }
    }

    #[test]
    fn subscribing_and_unsubscribing_are_events_of_the_documented_form() {
        let dialect = dialect();
        let mut subscriber = Subscriber::new("s").with("role", "farm");
        dialect.complete_subscriber(&mut subscriber);
        let spec =
            SubscriptionSpec::new(subscriber, Some(Expression::parse("topic = ftrack.update").unwrap()));
        let event = dialect.subscribe(&spec).unwrap();
        assert_eq!(event.topic(), "ftrack.meta.subscribe");
        assert_eq!(
            event.data_value(),
            &json!({"subscriber": {"id": "s", "role": "farm", "applicationId": "my.app"}, "subscription": "topic=ftrack.update"})
        );
        assert_eq!(event.source_id(), Some(dialect.hub_id.as_str()));
        let event = dialect.unsubscribe(&spec).unwrap();
        assert_eq!(
            (event.topic().as_str(), &event.data_value()["subscriber"]["id"]),
            ("ftrack.meta.unsubscribe", &json!("s"))
        );
    }

    #[test]
    fn a_reply_is_addressed_to_the_asker_and_signed_by_the_answering_subscriber() {
        let dialect = dialect();
        let asked = Event::from_json(r#"{"topic":"t","id":"e1","source":{"id":"hub-7"}}"#).unwrap();
        let reply =
            dialect.reply(&asked, &Subscriber::new("s"), RawJson::from_text("{\"ok\":1}").unwrap()).unwrap();
        assert_eq!(reply.topic(), "ftrack.meta.reply");
        assert_eq!((reply.target(), reply.in_reply_to().unwrap().as_str()), ("id=hub-7", "e1"));
        assert_eq!(reply.source()["id"], "s");
        assert_eq!(dialect.in_reply_to(&reply).unwrap(), "e1");
        let other = reply.to_builder().topic("other").build().unwrap();
        assert!(dialect.in_reply_to(&other).is_none());
    }

    #[test]
    fn an_acknowledgement_that_says_no_is_a_refusal() {
        let answer = |text: &str| {
            let data = RawJson::from_text(text.to_owned()).unwrap();
            dialect().acknowledged(&Acknowledgement::with_data(Some(data)))
        };
        for good in [r#"{"success":true}"#, "{}", "null", "[1]", "\"x\""] {
            answer(good).unwrap();
        }
        let error = answer(r#"{"success":false,"message":"bad expression"}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("bad expression"));
    }

    #[test]
    fn connected_and_disconnected_are_local_events() {
        let connected = dialect().local(&Lifecycle::Connected { subscriptions: 1 }).unwrap();
        let disconnected = dialect().local(&Lifecycle::Disconnected { reason: None }).unwrap();
        assert_eq!(
            (connected.topic().as_str(), disconnected.topic().as_str()),
            (topics::CONNECTED, topics::DISCONNECTED)
        );
        assert!(dialect().local(&Lifecycle::Closed).is_none());
    }
}
