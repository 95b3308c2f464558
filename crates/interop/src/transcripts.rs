//! Recorded sessions: the official client's frames played to the emulator, and the recorded server's frames played
//! to our client, whose own frames are compared with the recorded ones member by member.

use std::collections::BTreeSet;
use std::time::Duration;

use event_core::Event;
use ftrack_hub::{Json, Session};
use futures_util::{SinkExt, StreamExt};
use hub_emulator::Emulator;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::{Direction, Failure, Needs, Scenario, Stage, ensure};

const STORY: &str = include_str!("../data/ftrack-python-3.1.0-story.jsonl");
const WITH: &str = "ftrack-python-api 3.1.0";
const PATIENCE: Duration = Duration::from_secs(20);
/// Members of our events that the recorded ones do not have; everything else must be there in both, of one type.
const OURS_ALONE: [&str; 2] = ["source.applicationId", "data.subscriber.applicationId"];
/// Members of the recorded events that ours lack: the host name is a feature that may be off, and the Python client
/// adds user and host to a subscriber that has replied.
const THEIRS_ALONE: [&str; 6] = [
    "source.host",
    "data.subscriber.user",
    "data.subscriber.user.username",
    "data.subscriber.host",
    "sent",
    "source.user.id",
];

pub(crate) fn scenarios() -> Vec<Scenario> {
    let plain = |name: &'static str, play: fn(Stage) -> Boxed| {
        Scenario::new(Direction::Transcript, WITH, Needs::Nothing, name, play)
    };
    vec![
        plain("the_emulator_answers_the_recorded_session_as_recorded", |stage| Box::pin(replay(stage))),
        plain("the_emulator_acknowledges_before_the_consequence", |stage| Box::pin(ack_first(stage))),
        plain("the_emulator_sends_events_without_a_packet_id", |stage| Box::pin(no_ids(stage))),
        plain("our_client_says_what_the_recorded_one_says", |_| Box::pin(our_frames())),
        plain("our_client_understands_the_recorded_server", |_| Box::pin(their_frames())),
    ]
}

type Boxed = futures_util::future::BoxFuture<'static, Result<(), Failure>>;

/// The recorded frames of both directions, in order: connection, whether the client sent it, the text.
fn frames() -> Vec<(u64, bool, String)> {
    STORY
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|record| record["kind"] == "ws-text")
        .map(|record| {
            let text = record["text"].as_str().unwrap_or_default().to_owned();
            (record["conn"].as_u64().unwrap_or_default(), record["dir"] == "client->server", text)
        })
        .collect()
}

/// The event of an event packet.
fn event_of(frame: &str) -> Option<Value> {
    let json = frame.strip_prefix('5').and_then(|rest| rest.find('{').map(|at| &rest[at..]))?;
    let packet: Value = serde_json::from_str(json).ok()?;
    packet["args"].get(0).cloned()
}

async fn within<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(PATIENCE, future).await.map_err(|_| Failure::new(format!("not within {PATIENCE:?}")))
}

// ---- the recorded client against the emulator ---------------------------------------------------------------

/// A bare websocket, written by somebody else.
struct Bare(WebSocketStream<TcpStream>);

impl Bare {
    async fn connect(emulator: &Emulator) -> Result<Self, Failure> {
        let address = emulator.ftrack_addr();
        let io = |error: std::io::Error| Failure::new(error.to_string());
        let mut stream = TcpStream::connect(address).await.map_err(io)?;
        let request = format!(
            "GET /socket.io/1/ HTTP/1.1\r\nHost: {address}\r\nftrack-user: a@example.com\r\nftrack-api-key: key-a\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.map_err(io)?;
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await?.map_err(io)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let session = body.split(':').next().unwrap_or_default();
        let stream = TcpStream::connect(address).await.map_err(io)?;
        let url = format!("ws://{address}/socket.io/1/websocket/{session}");
        let (socket, _) = within(tokio_tungstenite::client_async(url, stream))
            .await?
            .map_err(|error| Failure::new(format!("websocket: {error}")))?;
        let mut bare = Self(socket);
        let first = bare.next().await?;
        ensure(first == "1::", || format!("{first} instead of 1::"))?;
        Ok(bare)
    }

    async fn send(&mut self, frame: &str) -> Result<(), Failure> {
        let sent = within(self.0.send(Message::text(frame))).await?;
        sent.map_err(|error| Failure::new(format!("sending: {error}")))
    }

    async fn next(&mut self) -> Result<String, Failure> {
        match within(self.0.next()).await? {
            Some(Ok(Message::Text(text))) => Ok(text.to_string()),
            other => Err(Failure::new(format!("{other:?} instead of a packet"))),
        }
    }
}

/// Every client frame of the recording in its order; after each, what the server said to it before the next.
async fn replay(stage: Stage) -> Result<(), Failure> {
    let emulator = stage.emulator(|builder| builder).await?;
    let mut links = [Bare::connect(&emulator).await?, Bare::connect(&emulator).await?];
    let mut compared = 0;
    for (connection, from_client, text) in frames() {
        if text.starts_with("2:") || text == "1::" {
            // Heartbeats come when they are due.
            continue;
        }
        let link = &mut links[usize::from(connection != 2)];
        if from_client {
            link.send(&text).await?;
            continue;
        }
        let got = link.next().await?;
        let same = match (event_of(&text), event_of(&got)) {
            (Some(recorded), Some(ours)) => {
                recorded == ours && got.starts_with("5:::{") == text.starts_with("5:::{")
            }
            _ => got == text,
        };
        ensure(same, || format!("recorded {text}\n  emulator {got}"))?;
        compared += 1;
    }
    ensure(compared >= 11, || format!("only {compared} frames were compared"))
}

fn packet(number: u64, event: &Value) -> String {
    format!(r#"5:{number}+::{{"name":"ftrack.event","args":[{event}]}}"#)
}

async fn subscribed(link: &mut Bare, topic: &str) -> Result<(), Failure> {
    let subscribe = json!({"topic": "ftrack.meta.subscribe", "id": "s1", "source": {"id": "x"}, "target": "",
        "data": {"subscriber": {"id": "s"}, "subscription": format!("topic={topic}")}});
    link.send(&packet(1, &subscribe)).await?;
    let acknowledged = link.next().await?;
    ensure(acknowledged == r#"6:::1+[{"success":true}]"#, || acknowledged.clone())
}

async fn ack_first(stage: Stage) -> Result<(), Failure> {
    let emulator = stage.emulator(|builder| builder).await?;
    let mut link = Bare::connect(&emulator).await?;
    subscribed(&mut link, "t").await?;
    let event = json!({"topic": "t", "id": "e1", "data": 1, "source": {"id": "x"}, "target": ""});
    link.send(&packet(2, &event)).await?;
    let (first, second) = (link.next().await?, link.next().await?);
    ensure(first.starts_with("6:::2") && event_of(&second).is_some(), || format!("{first} before {second}"))
}

async fn no_ids(stage: Stage) -> Result<(), Failure> {
    let emulator = stage.emulator(|builder| builder).await?;
    let mut link = Bare::connect(&emulator).await?;
    subscribed(&mut link, "t").await?;
    emulator.publish(Event::builder("t").id("e1").build()?)?;
    let got = link.next().await?;
    ensure(got.starts_with("5:::{"), || format!("{got} has a packet id"))
}

// ---- the recorded server against our client -----------------------------------------------------------------

/// A server that says what a script tells it, and hands over what clients say.
struct Script {
    url: String,
    /// What clients said: the number of their connection, and a request head or a packet.
    said: mpsc::Receiver<(usize, String)>,
    /// What to say to which connection.
    say: mpsc::Sender<(usize, String)>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    async fn start() -> Result<Self, Failure> {
        let io = |error: std::io::Error| Failure::new(error.to_string());
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
        let url = format!("http://{}", listener.local_addr().map_err(io)?);
        let (tell, said) = mpsc::channel(256);
        let (say, mut orders) = mpsc::channel::<(usize, String)>(256);
        let task = tokio::spawn(async move {
            let mut links: Vec<mpsc::Sender<String>> = Vec::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((mut stream, _)) = accepted else { return };
                        let head = read_head(&mut stream).await;
                        if head.to_ascii_lowercase().contains("upgrade: websocket") {
                            let (order, ordered) = mpsc::channel(256);
                            tokio::spawn(link(stream, head, links.len(), tell.clone(), ordered));
                            links.push(order);
                        } else {
                            let _ = tell.send((links.len(), head)).await;
                            // As recorded, chunks and all.
                            let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\
                                Transfer-Encoding: chunked\r\n\r\n\
                                30\r\nHx5KwuG6sbqugetd3OQc:60:60:websocket,xhr-polling\r\n0\r\n\r\n";
                            let _ = stream.write_all(answer.as_bytes()).await;
                        }
                    }
                    Some((to, text)) = orders.recv() => {
                        if let Some(link) = links.get(to) {
                            let _ = link.send(text).await;
                        }
                    }
                }
            }
        });
        Ok(Self { url, said, say, task })
    }

    /// The next thing that a client says, heartbeats aside.
    async fn next(&mut self) -> Result<(usize, String), Failure> {
        loop {
            let said = within(self.said.recv()).await?.ok_or_else(|| Failure::new("the script ended"))?;
            if !said.1.starts_with("2:") {
                return Ok(said);
            }
        }
    }

    async fn say(&self, to: usize, text: impl Into<String>) {
        let _ = self.say.send((to, text.into())).await;
    }

    /// Takes an event packet, acknowledges it as recorded, and gives its event.
    async fn event(&mut self) -> Result<(usize, Value), Failure> {
        let (from, text) = self.next().await?;
        let event = event_of(&text).ok_or_else(|| Failure::new(format!("{text} is no event packet")))?;
        let number = text.split(':').nth(1).unwrap_or_default().to_owned();
        let form = number.strip_suffix('+').is_some_and(|digits| digits.parse::<u64>().is_ok());
        ensure(form && text.split(':').nth(2) == Some(""), || format!("{text} is not of the form 5:N+::"))?;
        self.say(from, format!("6:::{number}[{{\"success\":true}}]")).await;
        Ok((from, event))
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn link(
    mut stream: TcpStream,
    head: String,
    number: usize,
    tell: mpsc::Sender<(usize, String)>,
    mut orders: mpsc::Receiver<String>,
) {
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
    use tokio_tungstenite::tungstenite::protocol::Role;
    let key = head.lines().find_map(|line| {
        line.split_once(": ")
            .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
            .map(|(_, key)| key)
    });
    let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if stream.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    let _ = tell.send((number, head)).await;
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let _ = socket.send(Message::text("1::")).await;
    loop {
        tokio::select! {
            said = socket.next() => match said {
                Some(Ok(Message::Text(text))) => {
                    let _ = tell.send((number, text.to_string())).await;
                }
                Some(Ok(_)) => {}
                _ => return,
            },
            order = orders.recv() => match order {
                Some(text) => {
                    let _ = socket.send(Message::text(text)).await;
                }
                None => return,
            },
        }
    }
}

/// The recorded client's events on a topic, in order.
fn recorded(topic: &str) -> Vec<Value> {
    let events = frames().into_iter().filter(|(_, from_client, _)| *from_client);
    events.filter_map(|(_, _, text)| event_of(&text)).filter(|event| event["topic"] == topic).collect()
}

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
fn alike(ours: &Value, theirs: &Value) -> Result<(), Failure> {
    let (mut mine, mut other) = (BTreeSet::new(), BTreeSet::new());
    members(ours, "", &mut mine);
    members(theirs, "", &mut other);
    let extra: Vec<&String> =
        mine.difference(&other).filter(|path| !OURS_ALONE.contains(&path.as_str())).collect();
    let lacking: Vec<&String> =
        other.difference(&mine).filter(|path| !THEIRS_ALONE.contains(&path.as_str())).collect();
    ensure(extra.is_empty() && lacking.is_empty(), || {
        format!("ours alone {extra:?}, theirs alone {lacking:?}\n  ours {ours}\n  recorded {theirs}")
    })?;
    ensure(ours["topic"] == theirs["topic"], || format!("topic {} and {}", ours["topic"], theirs["topic"]))
}

fn our_session(url: &str) -> Result<Session, Failure> {
    Ok(Session::builder(url, "a@example.com", "key-a").build()?)
}

async fn our_frames() -> Result<(), Failure> {
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
    let subscribes = recorded("ftrack.meta.subscribe");
    // The inbox first, as the recorded client does.
    let (_, inbox) = script.event().await?;
    alike(&inbox, &subscribes[0])?;
    ensure(inbox["data"]["subscription"] == subscribes[0]["data"]["subscription"], || inbox.to_string())?;
    ensure(inbox["data"]["subscriber"]["id"] == inbox["source"]["id"], || inbox.to_string())?;
    within(connecting).await?.map_err(|error| Failure::new(error.to_string()))??;

    let answer = |event: Event| async move { Json(json!({"echo": event.data_value()})) };
    let subscribing = tokio::spawn(hub.subscribe("topic=lab.story").handle(answer));
    let (_, subscribe) = script.event().await?;
    let last = subscribes.last().cloned().unwrap_or_default();
    alike(&subscribe, &last)?;
    ensure(subscribe["data"]["subscription"] == last["data"]["subscription"], || subscribe.to_string())?;
    let subscription = within(subscribing).await?.map_err(|error| Failure::new(error.to_string()))??;

    let published = recorded("lab.story");
    let data = published[0]["data"].clone();
    let publishing =
        tokio::spawn(std::future::IntoFuture::into_future(hub.publish(Event::new("lab.story", &data)?)));
    let (_, publish) = script.event().await?;
    alike(&publish, &published[0])?;
    ensure(publish["data"] == data && publish["target"] == published[0]["target"], || publish.to_string())?;
    within(publishing).await?.map_err(|error| Failure::new(error.to_string()))??;

    // The recorded event comes in; our answer must be the recorded answer, with our ids.
    let question = published[0].clone();
    script.say(0, format!(r#"5:::{{"name":"ftrack.event","args":[{question}]}}"#)).await;
    let (_, reply) = script.event().await?;
    let replies = recorded("ftrack.meta.reply");
    alike(&reply, &replies[0])?;
    for member in ["data", "target", "inReplyToEvent"] {
        ensure(reply[member] == replies[0][member], || format!("{member}: {reply} and {}", replies[0]))?;
    }
    ensure(reply["source"]["id"] == subscribe["data"]["subscriber"]["id"], || {
        format!("the source of a reply is the answering subscriber: {reply}")
    })?;

    let unsubscribing = tokio::spawn(async move { subscription.unsubscribe().await });
    let (_, unsubscribe) = script.event().await?;
    alike(&unsubscribe, &recorded("ftrack.meta.unsubscribe")[0])?;
    within(unsubscribing).await?.map_err(|error| Failure::new(error.to_string()))??;
    Ok(())
}

async fn their_frames() -> Result<(), Failure> {
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
    for (_, from_client, text) in frames() {
        if from_client || text.starts_with("6:") || text == "1::" {
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
