//! The recorded server against our client, and what our client says beside what the recorded one said.

use std::collections::BTreeSet;

use event_core::Event;
use ftrack_hub::{Json, Session};
use serde_json::{Value, json};

use super::script::Script;
use super::{Recording, event_of, within};
use crate::{Failure, ensure};

/// Every member of an event with the type of its value.
fn members(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    let Value::Object(object) = value else { return };
    for (key, value) in object {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        out.insert(path.clone());
        // What a program puts into its own events is its own affair.
        if path != "data" || value.get("subscriber").is_some() {
            members(value, &path, out);
        }
    }
}

/// Compares an event of ours with the recorded one; the named differences are allowed.
fn alike(recording: &Recording, ours: &Value, theirs: &Value) -> Result<(), Failure> {
    let (mut mine, mut other) = (BTreeSet::new(), BTreeSet::new());
    members(ours, "", &mut mine);
    members(theirs, "", &mut other);
    let extra: Vec<&String> =
        mine.difference(&other).filter(|path| !recording.ours_alone.contains(&path.as_str())).collect();
    let lacking: Vec<&String> =
        other.difference(&mine).filter(|path| !recording.theirs_alone.contains(&path.as_str())).collect();
    ensure(extra.is_empty() && lacking.is_empty(), || {
        format!("ours alone {extra:?}, theirs alone {lacking:?}\n  ours {ours}\n  recorded {theirs}")
    })?;
    ensure(ours["topic"] == theirs["topic"], || format!("topic {} and {}", ours["topic"], theirs["topic"]))
}

fn our_session(url: &str) -> Result<Session, Failure> {
    Ok(Session::builder(url, "a@example.com", "key-a").build()?)
}

pub(super) async fn our_frames(recording: &'static Recording) -> Result<(), Failure> {
    let mut script = Script::start().await?;
    let session = our_session(&script.url)?;
    let hub = session.event_hub().clone();
    let connecting = tokio::spawn({
        let hub = hub.clone();
        async move { hub.connect().await }
    });
    let (_, handshake) = script.next().await?;
    let head = handshake.to_ascii_lowercase();
    for wanted in [
        "get /socket.io/1/ http/1.1\r\n",
        "\r\nftrack-user: a@example.com\r\n",
        "\r\nftrack-api-key: key-a\r\n",
    ] {
        ensure(head.contains(wanted), || format!("the handshake has no {wanted:?}: {handshake}"))?;
    }
    let (_, upgrade) = script.next().await?;
    let head = upgrade.to_ascii_lowercase();
    ensure(head.starts_with("get /socket.io/1/websocket/hx5kwug6sbqugetd3oqc http/1.1"), || upgrade.clone())?;
    ensure(!head.contains("ftrack-api-key") && !head.contains("key-a"), || {
        "the key is on the websocket too".to_owned()
    })?;
    let subscribes = recording.events("ftrack.meta.subscribe");
    // The inbox first, as the recorded client does.
    let (_, inbox) = script.event().await?;
    alike(recording, &inbox, &subscribes[0])?;
    ensure(inbox["data"]["subscription"] == subscribes[0]["data"]["subscription"], || inbox.to_string())?;
    ensure(inbox["data"]["subscriber"]["id"] == inbox["source"]["id"], || inbox.to_string())?;
    within(connecting).await?.map_err(|error| Failure::new(error.to_string()))??;

    let answer = |event: Event| async move { Json(json!({"echo": event.data_value()})) };
    let subscribing = tokio::spawn(hub.subscribe("topic=lab.story").handle(answer));
    let (_, subscribe) = script.event().await?;
    let last = subscribes.last().cloned().unwrap_or_default();
    alike(recording, &subscribe, &last)?;
    ensure(subscribe["data"]["subscription"] == last["data"]["subscription"], || subscribe.to_string())?;
    let subscription = within(subscribing).await?.map_err(|error| Failure::new(error.to_string()))??;

    let published = recording.events("lab.story");
    let data = published[0]["data"].clone();
    let publishing =
        tokio::spawn(std::future::IntoFuture::into_future(hub.publish(Event::new("lab.story", &data)?)));
    let (_, publish) = script.event().await?;
    alike(recording, &publish, &published[0])?;
    ensure(publish["data"] == data && publish["target"] == published[0]["target"], || publish.to_string())?;
    within(publishing).await?.map_err(|error| Failure::new(error.to_string()))??;

    // The recorded event comes in; our answer must be the recorded answer, with our ids.
    let question = published[0].clone();
    script.say(0, format!(r#"5:::{{"name":"ftrack.event","args":[{question}]}}"#)).await;
    let (_, reply) = script.event().await?;
    let replies = recording.events("ftrack.meta.reply");
    alike(recording, &reply, &replies[0])?;
    for member in ["data", "target", "inReplyToEvent"] {
        ensure(reply[member] == replies[0][member], || format!("{member}: {reply} and {}", replies[0]))?;
    }
    ensure(reply["source"]["id"] == subscribe["data"]["subscriber"]["id"], || {
        format!("the source of a reply is the answering subscriber: {reply}")
    })?;

    let unsubscribing = tokio::spawn(async move { subscription.unsubscribe().await });
    let (_, unsubscribe) = script.event().await?;
    alike(recording, &unsubscribe, &recording.events("ftrack.meta.unsubscribe")[0])?;
    within(unsubscribing).await?.map_err(|error| Failure::new(error.to_string()))??;
    Ok(())
}

pub(super) async fn their_frames(recording: &'static Recording) -> Result<(), Failure> {
    let mut script = Script::start().await?;
    let session = our_session(&script.url)?;
    let hub = session.event_hub().clone();
    let connecting = tokio::spawn({
        let hub = hub.clone();
        async move { hub.connect().await }
    });
    let _ = (script.next().await?, script.next().await?);
    script.event().await?;
    within(connecting).await?.map_err(|error| Failure::new(error.to_string()))??;
    let subscribing = tokio::spawn({
        let hub = hub.clone();
        async move { hub.subscribe("topic=lab.story").stream().await }
    });
    script.event().await?;
    let mut stream = within(subscribing).await?.map_err(|error| Failure::new(error.to_string()))??;
    let mut events = 0;
    for frame in recording.frames() {
        let Some(text) = frame.text.filter(|text| !text.starts_with("6:") && text != "1::") else { continue };
        if frame.from_client {
            continue;
        }
        script.say(0, text.clone()).await;
        let Some(recorded) = event_of(&text).filter(|event| event["topic"] == "lab.story") else { continue };
        let delivery = within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
        let got: Value = serde_json::from_slice(&delivery.event().to_json())
            .map_err(|error| Failure::new(error.to_string()))?;
        ensure(got == recorded, || format!("{got} instead of {recorded}"))?;
        events += 1;
    }
    ensure(events > 0 && hub.is_connected(), || format!("{events} events, {}", hub.state()))?;
    let stats = hub.stats();
    ensure(stats.problems == 0, || format!("{stats:?}"))
}
