//! The inspector's routes: what they show, what they change, and whom they refuse.

use futures_util::FutureExt as _;
use hub_emulator::inspector::Inspector;
use hub_emulator::{Emulator, ErrorKind};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

use crate::imodelhub::{IMODEL, Lab};
use crate::support::{Client, event, http, http_full, within};

const JSON: &str = "Content-Type: application/json";

async fn inspected() -> (Emulator, Inspector) {
    let emulator = Emulator::start().await.unwrap();
    let inspector = Inspector::builder().start(&emulator).await.unwrap();
    (emulator, inspector)
}

async fn get(inspector: &Inspector, path: &str) -> Value {
    let (status, body) = http(inspector.addr(), &format!("GET {path} HTTP/1.1"), "").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

async fn post(inspector: &Inspector, path: &str, body: &Value) -> (u16, Value) {
    let head = format!("POST {path} HTTP/1.1\n{JSON}");
    let (status, body) = http(inspector.addr(), &head, &body.to_string()).await;
    (status, serde_json::from_str(&body).unwrap())
}

fn sequences(events: &Value) -> Vec<u64> {
    events["events"].as_array().unwrap().iter().map(|row| row["sequence"].as_u64().unwrap()).collect()
}

/// A stream of server-sent events.
struct Followed {
    lines: Lines<BufReader<TcpStream>>,
    /// Where it is, as a browser keeps it.
    place: String,
}

impl Followed {
    async fn open(inspector: &Inspector, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(inspector.addr()).await.unwrap();
        let head = format!("GET /api/stream{query} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", inspector.addr());
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(within(lines.next_line()).await.unwrap().unwrap(), "HTTP/1.1 200 OK");
        Self { lines, place: String::new() }
    }

    /// The data of the next message of this name.
    async fn next(&mut self, name: &str) -> Value {
        let wanted = format!("event: {name}");
        while self.line().await != wanted {}
        let data = self.line().await;
        if let Some(place) = self.line().await.strip_prefix("id: ") {
            place.clone_into(&mut self.place);
        }
        serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()
    }

    async fn line(&mut self) -> String {
        within(self.lines.next_line()).await.unwrap().expect("the stream goes on")
    }

    /// The numbers of the next events.
    async fn rows(&mut self) -> Vec<u64> {
        let events = self.next("events").await;
        events["rows"].as_array().unwrap().iter().map(|row| row["sequence"].as_u64().unwrap()).collect()
    }
}

#[tokio::test]
async fn events_are_listed_filtered_and_paged() {
    let (emulator, inspector) = inspected().await;
    for n in 0..5 {
        let event = json!({"topic": if n % 2 == 0 { "even" } else { "odd" }, "data": {"n": n}});
        emulator.publish(event_core::Event::from_json(event.to_string()).unwrap()).unwrap();
    }
    assert_eq!(sequences(&get(&inspector, "/api/events").await), [1, 2, 3, 4, 5]);
    assert_eq!(sequences(&get(&inspector, "/api/events?expression=topic%3Deven").await), [1, 3, 5]);
    let newest = get(&inspector, "/api/events?limit=2").await;
    assert_eq!((sequences(&newest), &newest["more"]), (vec![4, 5], &json!(3)));
    assert_eq!(sequences(&get(&inspector, "/api/events?limit=2&before=4").await), [2, 3]);
    assert_eq!(sequences(&get(&inspector, "/api/events?limit=2&after=1").await), [2, 3]);
    let one = get(&inspector, "/api/events/4").await;
    assert_eq!((&one["event"]["data"]["n"], &one["fate"]), (&json!(3), &json!("routed")));
    let text = r#"{"topic":"exact","data":{"z":1.50,"a":123456789012345678901234567890}}"#;
    emulator.publish(event_core::Event::from_json(text).unwrap()).unwrap();
    for path in ["/api/events/6", "/api/events?whole=true&limit=1"] {
        let (_, body) = http(inspector.addr(), &format!("GET {path} HTTP/1.1"), "").await;
        assert!(body.contains(&format!(r#""event":{text}"#)), "an event stays as it came: {body}");
    }
    let (status, said) = http(inspector.addr(), "GET /api/events/9 HTTP/1.1", "").await;
    assert_eq!(status, 404, "{said}");
    for wrong in ["/api/events?expression=topic%3D", "/api/events?often=1", "/api/stream?expression=("] {
        let (status, said) = http(inspector.addr(), &format!("GET {wrong} HTTP/1.1"), "").await;
        assert_eq!(status, 400, "{wrong}: {said}");
    }
}

#[tokio::test]
async fn clients_subscriptions_and_replies_are_shown() {
    let (emulator, inspector) = inspected().await;
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s1"}), "topic=ask").await;
    let question = json!({"topic": "ask", "id": "q", "source": {"user": {"username": "jane"}}});
    client.publish_acked(&question).await;
    client.next_event().await;
    client
        .publish_acked(
            &json!({"topic": "ftrack.meta.reply", "id": "a", "inReplyToEvent": "q", "data": {"n": 7}}),
        )
        .await;
    client.publish_acked(&question).await;

    let connections = get(&inspector, "/api/subscriptions").await;
    assert_eq!(connections["connections"][0]["user"], "ann");
    assert_eq!(connections["connections"][0]["subscriptions"][0]["expression"], "topic=ask");
    let events = get(&inspector, "/api/events").await;
    let fates: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|row| row["fate"].as_str().unwrap()).collect();
    assert_eq!(fates, ["subscribed", "routed", "routed", "repeated"]);
    let asked = &events["events"][1];
    assert_eq!(
        (&asked["user"], &asked["from"], &asked["recipients"]),
        (&json!("jane"), &json!(1), &json!(1))
    );
    let threads = get(&inspector, "/api/threads").await;
    assert_eq!(threads["threads"][0]["sequence"], 2);
    assert_eq!(threads["threads"][0]["replies"][0]["summary"], "{\"n\":7}");
    let state = get(&inspector, "/api/state").await;
    assert_eq!(
        (&state["counts"]["log"]["seen"], &state["counts"]["ftrack"]["subscriptions"]),
        (&json!(4), &json!(1))
    );
}

#[tokio::test]
async fn long_lists_are_cut_and_say_so() {
    let (emulator, inspector) = inspected().await;
    let mut many = Client::connect(&emulator).await;
    for n in 0..53 {
        many.subscribe(&json!({"id": format!("s{n:02}")}), "topic=x").await;
    }
    let mut others = Vec::new();
    for _ in 0..200 {
        others.push(Client::connect(&emulator).await);
    }
    let shown = get(&inspector, "/api/subscriptions").await;
    assert_eq!((shown["connections"].as_array().unwrap().len(), &shown["leftOut"]), (200, &json!(1)));
    let first = &shown["connections"][0];
    assert_eq!((first["subscriptions"].as_array().unwrap().len(), &first["leftOut"]), (50, &json!(3)));
}

#[tokio::test]
async fn an_expression_is_checked_with_the_place_of_its_error() {
    let (_emulator, inspector) = inspected().await;
    assert_eq!(
        get(&inspector, "/api/check?expression=topic%3Da").await,
        json!({"ok": true, "canonical": "topic=a"})
    );
    let wrong = get(&inspector, "/api/check?expression=topic%3Da%20and%20id%3D").await;
    assert_eq!((&wrong["ok"], &wrong["error"]["column"]), (&json!(false), &json!(16)));
    assert!(wrong["error"]["caret"].as_str().unwrap().ends_with("               ^"), "{wrong}");
}

#[tokio::test]
async fn a_page_follows_what_happens_and_goes_on_where_it_was() {
    let (emulator, inspector) = inspected().await;
    let publish = |topic: &str| {
        emulator.publish(event_core::Event::from_json(format!(r#"{{"topic":"{topic}"}}"#)).unwrap()).unwrap();
    };
    publish("a");
    let mut page = Followed::open(&inspector, "?expression=topic%3Da", "").await;
    assert_eq!(page.next("about").await["readOnly"], false);
    assert_eq!(page.rows().await, [1], "what was there comes first");
    publish("b");
    publish("a");
    assert_eq!(page.rows().await, [3]);
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s1"}), "topic=x").await;
    loop {
        let connections = page.next("connections").await;
        if connections["connections"][0]["subscriptions"][0]["id"] == "s1" {
            break;
        }
    }
    let place = page.place.clone();
    drop(page);
    publish("a");
    let headers = format!("Last-Event-ID: {place}\r\n");
    let mut again = Followed::open(&inspector, "?expression=topic%3Da", &headers).await;
    assert_eq!(again.rows().await, [5], "number 4 is the subscription");
    let mut new = Followed::open(&inspector, "?expression=topic%3Da", "Last-Event-ID: other.5\r\n").await;
    assert_eq!(new.rows().await, [1, 3, 5], "a place of another run is none");
}

#[tokio::test]
async fn more_than_a_page_can_show_is_sampled_and_what_left_the_view_is_counted() {
    let emulator = Emulator::start().await.unwrap();
    let inspector = Inspector::builder().keep(500, 1_000_000).start(&emulator).await.unwrap();
    let mut page = Followed::open(&inspector, "", "").await;
    assert_eq!(page.rows().await, Vec::<u64>::new());
    let event = event_core::Event::from_json(r#"{"topic":"a"}"#).unwrap();
    for _ in 0..700 {
        emulator.publish(&event).unwrap();
    }
    let (mut shown, mut skipped, mut missed) = (0, 0, 0);
    while shown + skipped + missed < 700 {
        let events = page.next("events").await;
        shown += events["rows"].as_array().unwrap().len() as u64;
        skipped += events["skipped"].as_u64().unwrap();
        missed += events["missed"].as_u64().unwrap();
    }
    assert_eq!(shown + skipped + missed, 700);
    assert!(skipped > 0, "{shown} {skipped} {missed}");
    assert_eq!(get(&inspector, "/api/state").await["counts"]["log"]["leftView"], 200);
}

#[tokio::test]
async fn events_are_published_on_both_sides() {
    let (emulator, inspector) = inspected().await;
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s1"}), "topic=t").await;
    let (status, said) =
        post(&inspector, "/api/publish", &json!({"ftrack": {"topic": "t", "data": [1]}})).await;
    assert_eq!((status, &said["recipients"]), (200, &json!(1)), "{said}");
    let event = client.next_event().await;
    assert_eq!((&event["data"], &event["id"]), (&json!([1]), &said["id"]));
    let imodel = json!({"imodel": "0a1b2c3d-1111-2222-3333-444455556666", "type": "VersionEvent"});
    let (status, said) = post(&inspector, "/api/publish", &json!({"imodelhub": imodel})).await;
    assert_eq!((status, said), (200, json!({"recipients": 0, "published": 1})));
    for wrong in [
        json!({}),
        json!({"ftrack": {}}),
        json!({"ftrack": {"topic": "ftrack.meta.subscribe"}}),
        json!({"imodelhub": {"type": "NoSuchEvent"}}),
        json!({"imodelhub": {"type": "VersionEvent", "imodel": "x"}}),
        json!({"imodelhub": {"type": "VersionEvent", "count": 0}}),
    ] {
        let (status, said) = post(&inspector, "/api/publish", &wrong).await;
        assert_eq!(status, 400, "{wrong}");
        assert!(said["error"].is_string(), "{said}");
    }
}

#[tokio::test]
async fn faults_are_dialled() {
    let (emulator, inspector) = inspected().await;
    let mut client = Client::connect(&emulator).await;
    let turn = |change: Value| {
        let inspector = &inspector;
        async move {
            let (status, said) = post(inspector, "/api/faults", &change).await;
            assert_eq!(status, 200, "{said}");
            said
        }
    };
    let said =
        turn(json!({"do": "add", "side": "ftrack", "fault": {"action": {"do": "fin"}, "times": 2}})).await;
    assert_eq!(said["ftrack"]["waiting"][0]["times"], 2);
    let said = turn(json!({"do": "add", "side": "imodelhub", "fault": {"action": {"do": "hang"}}})).await;
    assert_eq!(said["imodelhub"]["waiting"].as_array().unwrap().len(), 1);
    let said =
        turn(json!({"do": "chance", "side": "imodelhub", "chance": {"probability": 0.25, "seed": 1}})).await;
    assert_eq!(said["imodelhub"]["chance"]["probability"], 0.25);
    let said = turn(json!({"do": "defect", "name": "lifo_queue", "on": true})).await;
    assert_eq!(said["defects"]["on"], json!(["lifo_queue"]));
    for side in ["ftrack", "imodelhub"] {
        let said = turn(json!({"do": "clear", "side": side})).await;
        assert_eq!((&said[side]["waiting"], &said[side]["chance"]), (&json!([]), &Value::Null));
    }
    let said = turn(json!({"do": "fire", "action": {"do": "disconnect"}})).await;
    assert_eq!((&said["hit"], &said["ftrack"]["fired"]["disconnect"]), (&json!(1), &json!(1)));
    assert_eq!(client.rest().await, ["0::"]);
    for wrong in
        [json!({"do": "dance"}), json!({"do": "add", "side": "ftrack", "fault": {"action": {"do": "hang"}}})]
    {
        assert_eq!(post(&inspector, "/api/faults", &wrong).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn queues_are_shown_with_their_locks_and_deliveries() {
    let lab = Lab::new().await;
    let inspector = Inspector::builder().start(&lab.emulator).await.unwrap();
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(0..2);
    assert_eq!(lab.head("POST", &queue, "").await.status(), 201);
    let queues = get(&inspector, "/api/queues").await;
    let queue = &queues["queues"][0];
    assert_eq!(
        (&queue["queued"], &queue["locked"], &queue["iModelId"]),
        (&json!(1), &json!(1), &json!(IMODEL))
    );
    let (first, second) = (&queue["messages"][0], &queue["messages"][1]);
    assert_eq!((&first["deliveries"], &second["deliveries"]), (&json!(1), &json!(0)));
    assert!(
        first["lockedUntil"].as_f64() > first["enqueued"].as_f64() && second["lockedUntil"].is_null(),
        "{queue}"
    );
}

#[tokio::test]
async fn other_pages_get_nowhere_and_answers_are_protected() {
    let (_emulator, inspector) = inspected().await;
    let address = inspector.addr();
    for route in [
        "GET /api/state HTTP/1.1",
        "GET /api/stream HTTP/1.1",
        "GET / HTTP/1.1",
        "POST /api/publish HTTP/1.1",
    ] {
        for header in [
            "Origin: https://evil.example",
            "Origin: http://127.0.0.1:1",
            "Host: evil.example",
            "Host: evil.example:80\nOrigin: http://evil.example:80",
            "Sec-Fetch-Site: cross-site",
        ] {
            let (status, head, body) = http_full(address, &format!("{route}\n{header}\n{JSON}"), "{}").await;
            assert_eq!(status, 403, "{route} {header}: {body}");
            assert!(!head.contains("access-control"), "{head}");
        }
    }
    let form = "POST /api/publish HTTP/1.1\nContent-Type: text/plain";
    assert_eq!(http(address, form, r#"{"ftrack":{"topic":"t"}}"#).await.0, 415);
    for path in ["/", "/app.js", "/app.css", "/api/state", "/nothing"] {
        let (_, head, _) = http_full(address, &format!("GET {path} HTTP/1.1"), "").await;
        for protection in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(head.contains(protection), "{path}: {head}");
        }
    }
}

#[tokio::test]
async fn a_token_opens_the_door_as_a_bearer_or_by_its_cookie() {
    let emulator = Emulator::start().await.unwrap();
    let token = "0123456789abcdef";
    let inspector = Inspector::builder().token(token).start(&emulator).await.unwrap();
    let address = inspector.addr();
    assert_eq!(http(address, "GET / HTTP/1.1", "").await.0, 200, "the page itself has nothing to hide");
    let asked = "GET /api/state HTTP/1.1";
    assert_eq!(http(address, asked, "").await.0, 401);
    assert_eq!(http(address, &format!("{asked}\nAuthorization: Bearer {token}"), "").await.0, 200);
    let login = format!("POST /api/login HTTP/1.1\n{JSON}");
    assert_eq!(http(address, &login, r#"{"token":"0123456789abcdeX"}"#).await.0, 401);
    let (status, head, _) = http_full(address, &login, &json!({"token": token}).to_string()).await;
    assert_eq!(status, 204);
    assert!(
        head.contains("set-cookie: hub-inspector=0123456789abcdef; path=/; httponly; samesite=strict"),
        "{head}"
    );
    assert_eq!(http(address, &format!("{asked}\nCookie: hub-inspector={token}"), "").await.0, 200);
    assert!(!format!("{inspector:?}").contains(token), "{inspector:?}");
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() {
    let emulator = Emulator::start().await.unwrap();
    let remote = "0.0.0.0:0".parse().unwrap();
    let kind = |builder: hub_emulator::inspector::InspectorBuilder| {
        let emulator = &emulator;
        async move { builder.start(emulator).await.unwrap_err().kind() }
    };
    let new = Inspector::builder;
    assert_eq!(kind(new().token("short")).await, ErrorKind::InvalidSetting);
    assert_eq!(kind(new().keep(0, 1)).await, ErrorKind::InvalidSetting);
    assert_eq!(kind(new().allow_host("a:1")).await, ErrorKind::InvalidSetting);
    assert_eq!(kind(new().addr(remote)).await, ErrorKind::NotLoopback);
    assert_eq!(kind(new().addr(emulator.ftrack_addr())).await, ErrorKind::AddressInUse);
    let inspector = new().addr(remote).allow_remote(true).start(&emulator).await.unwrap();
    assert_eq!(inspector.token().map(|token| token.expose().len()), Some(32));
}

#[tokio::test]
async fn an_inspector_outlives_a_restart_and_is_gone_when_it_is_stopped() {
    let (emulator, inspector) = inspected().await;
    let mut page = Followed::open(&inspector, "", "").await;
    emulator.restart().await.unwrap();
    emulator.publish(event_core::Event::from_json(event("t").to_string()).unwrap()).unwrap();
    assert!(page.rows().await.is_empty() && page.rows().await == [1]);
    let address = inspector.addr();
    within(inspector.stop()).await;
    assert!(TcpStream::connect(address).await.is_err());
    while within(page.lines.next_line()).await.is_ok_and(|line| line.is_some()) {}
    assert!(page.lines.next_line().now_or_never().is_some(), "the stream has ended");
}
