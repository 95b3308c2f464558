//! The recorded requests of the official client and of `azure-sb`, asked again: the answers must have the recorded
//! forms. Ids, tokens and addresses that the recording's server made up are replaced by ours as they come.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;

use super::{Lab, after, header};

const CORE: &str = include_str!("../../data/imodelhub-core.jsonl");
const AZURE_SB: &str = include_str!("../../data/imodelhub-azure-sb.jsonl");
const BODIES: &str = include_str!("../../data/imodelhub-event-bodies.jsonl");
const ISSUED: &str = "Mon, 23 Nov 2026";

struct Replay {
    lab: Lab,
    /// Theirs and ours.
    names: Vec<(String, String)>,
    /// How many answers of which status were alike.
    alike: BTreeMap<u64, usize>,
}

fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The recorded delivery's JSON, out of its wrapping.
fn recorded_json(record: &Value) -> String {
    let body = text(record, "/response/body");
    body[body.find('{').unwrap()..].to_owned()
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    let (mut group, mut bits) = (0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        group = group << 6 | u32::from(digit(byte));
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((group >> bits & 0xFF) as u8);
        }
    }
    out
}

impl Replay {
    async fn new() -> Self {
        Self { lab: Lab::new().await, names: Vec::new(), alike: BTreeMap::new() }
    }

    fn ours(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    }

    fn rename(&mut self, theirs: &str, ours: &str) {
        if !theirs.is_empty() && theirs != ours {
            self.names.push((theirs.to_owned(), ours.to_owned()));
        }
    }

    fn request(&self, record: &Value) -> Request<Bytes> {
        let mut request = Request::builder()
            .method(text(record, "/request/method"))
            .uri(self.ours(text(record, "/request/url")));
        for (name, value) in record["request"]["headers"].as_object().unwrap() {
            let mut value = self.ours(value.as_str().unwrap());
            if let Some(own) = value.strip_prefix("SharedAccessSignature sig=") {
                // Signed by the client itself, for five minutes of then.
                let rest = own.split_once("&skn=").unwrap().1;
                value = format!("SharedAccessSignature sig=x&se=99999999999&skn={rest}");
            }
            request = request.header(name, value);
        }
        request.body(self.ours(text(record, "/request/body")).into()).unwrap()
    }

    /// Puts the recorded event, and nothing else, in front of the queue that is asked.
    fn publish(&self, record: &Value) {
        let url = text(record, "/request/url");
        let (topic, name) = (url.split('/').nth(2).unwrap(), text(record, "/response/headers/Content-Type"));
        let body: Value = serde_json::from_str(&recorded_json(record)).unwrap();
        let queued = match topic {
            "imodelhubglobalevents" => self.lab.emulator.publish_global_event(name, Some(body)),
            imodel => self.lab.emulator.publish_imodel_event(imodel, name, Some(body)),
        };
        assert!(queued > 0, "{record}");
    }

    /// Empties the queues of those that were not asked.
    async fn drain(&self) {
        let queued = |state: hub_emulator::imodelhub::State| {
            state.subscriptions.into_iter().find(|subscription| subscription.queued > 0)
        };
        while let Some(subscription) = queued(self.lab.emulator.imodelhub_state()) {
            let topic = subscription.imodel_id.unwrap_or("imodelhubglobalevents".to_owned());
            let path = format!("/bus/{topic}/Subscriptions/{}/messages/head", subscription.id);
            let own = "SharedAccessSignature sig=x&se=99999999999&skn=k&sr=x";
            assert_eq!(self.lab.send("DELETE", &path, own, "").await.status(), 200);
        }
    }

    fn compare(&mut self, record: &Value, answer: &Response<Bytes>) {
        let status = record["response"]["status"].as_u64().unwrap();
        assert_eq!(u64::from(answer.status().as_u16()), status, "{record}");
        let recorded = record["response"]["headers"].as_object().unwrap();
        let names: Vec<String> = recorded.keys().map(|name| name.to_ascii_lowercase()).collect();
        let mut got: Vec<String> = answer.headers().keys().map(|name| name.as_str().to_owned()).collect();
        let mut expected = names.clone();
        got.sort();
        expected.sort();
        assert_eq!(got, expected, "{record}");
        assert_eq!(header(answer, "content-type"), text(record, "/response/headers/Content-Type"));
        match header(answer, "content-type").as_str() {
            "application/json" => self.compare_json(record, answer),
            "application/xml; charset=utf-8" => {
                let recorded = self.ours(text(record, "/response/body"));
                assert_eq!(String::from_utf8_lossy(answer.body()), recorded);
            }
            "" => assert!(answer.body().is_empty()),
            _ => self.compare_delivery(record, answer),
        }
        *self.alike.entry(status).or_default() += 1;
    }

    fn compare_json(&mut self, record: &Value, answer: &Response<Bytes>) {
        let theirs: Value = serde_json::from_str(text(record, "/response/body")).unwrap();
        let ours: Value = serde_json::from_slice(answer.body()).unwrap();
        for name in ["/instanceId", "/properties/EventServiceSASToken"] {
            self.rename(text(after(&theirs), name), text(after(&ours), name));
        }
        let mut expected: Value = serde_json::from_str(&self.ours(&theirs.to_string())).unwrap();
        if expected.get("changedInstance").is_some() {
            let tag = &mut expected["changedInstance"]["instanceAfterChange"]["eTag"];
            assert_eq!(tag.as_str().unwrap().len(), text(after(&ours), "/eTag").len());
            *tag = after(&ours)["eTag"].clone();
        }
        assert_eq!(ours, expected, "{record}");
        // The members stand in the recorded order.
        let order = |text: &str| -> Vec<String> {
            text.split('"')
                .skip(1)
                .step_by(2)
                .filter(|word| !word.contains(['=', ' ']))
                .map(str::to_owned)
                .collect()
        };
        let line = |value: &str| order(value).into_iter().take(4).collect::<Vec<_>>();
        assert_eq!(line(std::str::from_utf8(answer.body()).unwrap()), line(text(record, "/response/body")));
    }

    fn compare_delivery(&mut self, record: &Value, answer: &Response<Bytes>) {
        let json: Value = serde_json::from_str(&recorded_json(record)).unwrap();
        let body = answer.body();
        let recorded_body = base64(text(record, "/response/bodyBase64"));
        // The record's length and kind as recorded; members are in the order of the JSON given.
        assert_eq!(body[..63], recorded_body[..63]);
        let start = body.iter().position(|byte| *byte == b'{').unwrap();
        let start = if body[start + 1] == b'{' { start + 1 } else { start };
        assert_eq!(serde_json::from_slice::<Value>(&body[start..]).unwrap(), json);
        let (theirs, ours) =
            (text(record, "/response/headers/BrokerProperties"), header(answer, "brokerproperties"));
        let names = |properties: &str| -> Vec<String> {
            let pairs = properties.trim_matches(['{', '}']).split(",\"");
            pairs.map(|pair| pair.split(':').next().unwrap().trim_matches('"').to_owned()).collect()
        };
        assert_eq!(names(theirs), names(&ours));
        let (theirs, ours): (Value, Value) =
            (serde_json::from_str(theirs).unwrap(), serde_json::from_str(&ours).unwrap());
        for name in ["DeliveryCount", "EnqueuedSequenceNumber", "State", "TimeToLive"] {
            assert_eq!(theirs[name], ours[name], "{name}");
        }
        assert_eq!(text(&theirs, "/MessageId").len(), text(&ours, "/MessageId").len());
        assert_eq!(text(&theirs, "/EnqueuedTimeUtc").len(), text(&ours, "/EnqueuedTimeUtc").len());
        assert!(text(&theirs, "/EnqueuedTimeUtc").starts_with(ISSUED));
        let (theirs, ours) = (text(record, "/response/headers/Location"), header(answer, "location"));
        if let Some((place, message)) = theirs.split_once("/messages/") {
            let (our_place, our_message) = ours.split_once("/messages/").unwrap();
            let place = self.ours(place);
            let path = |place: &str| place.split_once("/bus/").unwrap().1.to_ascii_lowercase();
            assert_eq!(path(&place), path(our_place));
            self.rename(&format!("messages/{message}"), &format!("messages/{our_message}"));
        }
    }

    /// Asks everything in turn.
    async fn run(&mut self, records: &[Value]) {
        let mut records = records.iter().peekable();
        while let Some(record) = records.next() {
            let Some(status) = record["response"]["status"].as_u64() else { continue };
            let is_poll = text(record, "/request/url").to_ascii_lowercase().contains("/messages/head");
            let has_body = !text(record, "/response/bodyBase64").is_empty();
            let request = self.request(record);
            if text(record, "/response/body").contains("while waiting") {
                let next = records.next().unwrap();
                let delete = async {
                    self.lab.emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
                    self.lab.emulator.imodelhub_exchange(self.request(next)).await.unwrap()
                };
                let (polled, deleted) = tokio::join!(self.lab.emulator.imodelhub_exchange(request), delete);
                self.compare(record, &polled.unwrap());
                self.compare(next, &deleted);
                continue;
            }
            let redelivered =
                text(record, "/response/headers/BrokerProperties").contains("\"DeliveryCount\":2");
            let delivers = is_poll && has_body && (200..=201).contains(&status) && !redelivered;
            if delivers {
                self.publish(record);
            }
            let answer = self.lab.emulator.imodelhub_exchange(request).await.unwrap();
            self.compare(record, &answer);
            if delivers {
                self.drain().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_official_clients_checks_get_the_recorded_answers() {
    let mut replay = Replay::new().await;
    replay.run(&records(CORE)).await;
    let counts: Vec<_> = replay.alike.into_iter().collect();
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<usize>(), 163, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn azure_sb_gets_the_recorded_answers() {
    let mut replay = Replay::new().await;
    replay.run(&records(AZURE_SB)).await;
    assert_eq!(replay.alike.into_iter().collect::<Vec<_>>(), [(200, 5), (201, 2), (204, 1), (404, 1)]);
}

/// What a type's event says without being told, but for numbers and what comes of them.
#[tokio::test(start_paused = true)]
async fn default_bodies_have_the_recorded_members() {
    let lab = Lab::with(hub_emulator::Emulator::builder().plain_bodies(true)).await;
    let shape = |json: &str| {
        let value: Value = serde_json::from_str(json).unwrap();
        let mut members: Vec<(usize, String)> = value
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| {
                let text = value.to_string();
                let numbered = ["ChangeSet", "VersionName", "Values", "EventTopic"]
                    .iter()
                    .any(|part| name.contains(part));
                let shown =
                    if numbered { text.chars().filter(char::is_ascii_punctuation).collect() } else { text };
                (json.find(&format!("\"{name}\"")).unwrap(), format!("{name}:{shown}"))
            })
            .collect();
        members.sort();
        members.into_iter().map(|(_, member)| member).collect::<Vec<_>>()
    };
    for record in records(BODIES) {
        let (name, theirs) = (text(&record, "/label"), recorded_json(&record));
        let name = text(&record, "/response/headers/Content-Type").to_owned() + &name[..0];
        let global = theirs.contains("iModelHubGlobalEvents");
        let (scope, class) = if global {
            ("Global--Global/GlobalScope", "GlobalEvent")
        } else {
            ("iModel--8585af91-74e6-4159-a172-dbb08f66d0fd/iModelScope", "Event")
        };
        let wanted = super::instance(&serde_json::json!({"EventTypes": [name]}));
        let (_, made) =
            lab.rest("POST", &format!("/sv1.1/Repositories/{scope}/{class}Subscription/"), &wanted).await;
        let id = text(after(&made), "/instanceId");
        let (_, sas) = lab.rest("POST", &format!("/sv1.1/Repositories/{scope}/{class}SAS/"), &wanted).await;
        let base = text(after(&sas), "/properties/BaseAddress");
        let path = format!("{base}/Subscriptions/{id}/messages/head");
        let queued = if global {
            lab.emulator.publish_global_event(&name, None)
        } else {
            lab.emulator.publish_imodel_event(super::IMODEL, &name, None)
        };
        assert!(queued > 0, "{name}");
        let token = text(after(&sas), "/properties/EventServiceSASToken");
        let answer = lab.send("DELETE", &path, token, "").await;
        assert_eq!(shape(std::str::from_utf8(answer.body()).unwrap()), shape(&theirs), "{name}");
    }
}
