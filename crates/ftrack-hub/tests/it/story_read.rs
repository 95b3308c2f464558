//! One client's side of the story, from a recording or from our own wire, as labelled lines of fields.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::wire::{Frame, Sent};

/// What a client said in one request or frame.
#[derive(Debug)]
pub(crate) struct Line {
    /// Which step of the story it is.
    pub(crate) step: String,
    pub(crate) fields: BTreeMap<String, String>,
    /// The event in it, if there is one.
    pub(crate) event: Option<Value>,
}

/// Everything one client said, in order.
pub(crate) type Client = Vec<Line>;

/// The two clients of a recording: a, who subscribes and answers, and b, who publishes.
pub(crate) fn recorded(name: &str) -> [Client; 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("{name}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut connections: BTreeMap<u64, Client> = BTreeMap::new();
    for record in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        if record["dir"] != "client->server" {
            continue;
        }
        let line = match record["kind"].as_str().unwrap() {
            "http-request" => {
                let headers = record["headers"].as_array().unwrap();
                let head = std::iter::once(&record["text"]).chain(headers);
                request(&head.map(|line| line.as_str().unwrap()).collect::<Vec<_>>())
            }
            "ws-text" => packet(record["text"].as_str().unwrap(), record["masked"] == true, true),
            "ws-close" => leave(record["code"].as_u64(), record["masked"] == true),
            _ => continue,
        };
        connections.entry(record["conn"].as_u64().unwrap()).or_default().push(line);
    }
    let mut clients = [Client::new(), Client::new()];
    for (_, lines) in connections {
        // Whose connection it is shows in the handshake, or else in the source of the events.
        let whose = |user: &str| {
            lines.iter().any(|line| {
                let shown = line.event.as_ref().map(|event| event["source"]["user"]["username"] == user);
                let said = |field: &str| line.fields.get(field).is_some_and(|text| text.contains(user));
                shown.unwrap_or_else(|| said("header ftrack-user") || said("query api_user"))
            })
        };
        let client = usize::from(whose("b@example.com") || whose("b%40example.com"));
        clients[client].extend(lines);
    }
    clients
}

/// One of our clients, from what it wrote.
pub(crate) fn ours(sent: &[Sent]) -> Client {
    let mut lines = Client::new();
    for stream in sent {
        lines.push(request(&stream.head.iter().map(String::as_str).collect::<Vec<_>>()));
        lines.extend(stream.frames.iter().map(|frame| match frame.opcode {
            Frame::TEXT => packet(frame.text(), frame.masked, frame.plain),
            Frame::CLOSE => {
                let code = frame
                    .payload
                    .get(..2)
                    .map(|code| u64::from(u16::from_be_bytes(code.try_into().unwrap())));
                leave(code, frame.masked)
            }
            other => panic!("a frame of opcode {other}"),
        }));
    }
    lines
}

fn line(step: &str, fields: impl IntoIterator<Item = (String, String)>, event: Option<Value>) -> Line {
    Line { step: step.to_owned(), fields: fields.into_iter().collect(), event }
}

fn request(head: &[&str]) -> Line {
    let (first, headers) = head.split_first().unwrap();
    let [method, target, version] = first.split(' ').collect::<Vec<_>>()[..] else { panic!("{first}") };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let websocket = path.strip_prefix("/socket.io/1/websocket/");
    let path = if websocket.is_some() { "/socket.io/1/websocket/<sid>" } else { path };
    let mut fields: BTreeMap<String, String> =
        [("method", method), ("path", path), ("version", version)].map(|(k, v)| (k.into(), v.into())).into();
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        fields.insert(format!("query {key}"), value.to_owned());
    }
    for (name, value) in headers.iter().filter_map(|header| header.split_once(": ")) {
        let name = name.to_ascii_lowercase();
        let value = match &*name {
            "host" => "<host>",
            "origin" => "http://<host>",
            "sec-websocket-key" if value.len() == 24 => "<24 characters>",
            "user-agent" => "<name>",
            _ => value,
        };
        fields.insert(format!("header {name}"), value.to_owned());
    }
    line(if websocket.is_some() { "websocket" } else { "handshake" }, fields, None)
}

fn leave(code: Option<u64>, masked: bool) -> Line {
    let code = code.map_or("none".to_owned(), |code| code.to_string());
    line("leave", [("close code".to_owned(), code), ("masked".to_owned(), masked.to_string())], None)
}

fn packet(text: &str, masked: bool, unfragmented: bool) -> Line {
    let mut fields: BTreeMap<String, String> =
        [("masked", masked), ("unfragmented", unfragmented)].map(|(k, v)| (k.into(), v.to_string())).into();
    let mut put = |field: &str, value: &str| fields.insert(field.to_owned(), value.to_owned());
    let Some((head, payload)) = text.strip_prefix("5:").and_then(|rest| rest.split_once(":{")) else {
        assert!(text.starts_with("2:"), "neither an event nor a heartbeat: {text}");
        put("packet", text);
        return line("heartbeat", fields, None);
    };
    put("packet type", "5");
    let (id, endpoint) = head.split_once(':').unwrap();
    put("packet id", id);
    put("endpoint", endpoint);
    let payload = format!("{{{payload}");
    put("blanks in JSON", if payload.contains("\": ") { "yes" } else { "no" });
    let value: Value = serde_json::from_str(&payload).unwrap();
    put("event name", value["name"].as_str().unwrap());
    let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    put("packet keys", &keys.join(" "));
    let args = value["args"].as_array().unwrap();
    put("args", &args.len().to_string());
    let event = args[0].clone();
    line(&step(&event), fields, Some(event))
}

/// Which step of the story an event is.
fn step(event: &Value) -> String {
    let data = &event["data"];
    let own = data["subscription"] == "topic=ftrack.meta.reply"
        || data["subscriber"]["id"].is_string() && data["subscriber"]["id"] == event["source"]["id"];
    match event["topic"].as_str().unwrap() {
        "ftrack.meta.subscribe" if own => "subscribe to replies".to_owned(),
        "ftrack.meta.subscribe" => "subscribe".to_owned(),
        "ftrack.meta.unsubscribe" if own => "unsubscribe from replies".to_owned(),
        "ftrack.meta.unsubscribe" => "unsubscribe".to_owned(),
        "ftrack.meta.reply" => "reply".to_owned(),
        _ => format!("publish {}", data["n"]),
    }
}
