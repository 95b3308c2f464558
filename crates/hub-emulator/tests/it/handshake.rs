use std::time::Duration;

use hub_emulator::Emulator;

use crate::support::{Client, get, http, http_full, session, wait_for};

fn assert_session(body: &str) {
    let fields: Vec<_> = body.split(':').collect();
    assert_eq!(fields[1..], ["60", "60", "websocket"], "{body}");
    assert!(fields[0].len() >= 20 && fields[0].bytes().all(|b| b.is_ascii_alphanumeric()), "{body}");
}

#[tokio::test]
async fn a_handshake_takes_headers_or_a_query_by_get_or_post() {
    let emulator = Emulator::builder().user("ann+x@example.com", "k&y =1").start().await.unwrap();
    let headers = "\nftrack-user: ann+x@example.com\nftrack-api-key: k&y =1";
    let query = "?api_user=ann%2Bx%40example.com&api_key=k%26y+%3D1";
    for head in [
        format!("GET /socket.io/1/ HTTP/1.1{headers}"),
        format!("GET /socket.io/1 HTTP/1.1{headers}"),
        format!("POST /socket.io/1/ HTTP/1.1{headers}"),
        format!("GET /socket.io/1/{query} HTTP/1.1"),
        format!("GET /socket.io/1{query} HTTP/1.1"),
        format!("POST /socket.io/1/{query} HTTP/1.1"),
        format!("GET /socket.io/1/?api_user=x&api_key=y HTTP/1.1{headers}"),
    ] {
        let (status, answer, body) = http_full(emulator.ftrack_addr(), &head, "").await;
        assert_eq!(status, 200, "{head}");
        assert!(answer.contains("content-type: text/plain"), "{answer}");
        assert_session(&body);
    }
    assert_eq!(emulator.state().pending_handshakes, 7);
}

#[tokio::test]
async fn wrong_or_missing_credentials_are_unauthorized() {
    let listed = Emulator::builder().user("ann", "her-key").user("ben", "his-key").start().await.unwrap();
    let open = Emulator::start().await.unwrap();
    for (emulator, query, status) in [
        (&listed, "?api_user=ann&api_key=her-key", 200),
        (&listed, "?api_user=ben&api_key=his-key", 200),
        (&listed, "?api_user=ann&api_key=his-key", 403),
        (&listed, "?api_user=cat&api_key=her-key", 403),
        (&listed, "?api_user=ann", 403),
        (&listed, "", 403),
        (&open, "?api_user=anybody&api_key=anything", 200),
        (&open, "?api_user=anybody&api_key=", 403),
        (&open, "?api_key=anything", 403),
        (&open, "", 403),
    ] {
        let (got, body) = get(emulator, &format!("/socket.io/1/{query}")).await;
        assert_eq!(got, status, "{query}");
        if status == 403 {
            assert_eq!(body, "handshake unauthorized");
        }
    }
    assert_eq!(listed.stats().handshakes_unauthorized, 4);
}

#[tokio::test]
async fn the_other_paths_answer_as_measured() {
    let emulator = Emulator::start().await.unwrap();
    let login = "api_user=a&api_key=b";
    assert_eq!(get(&emulator, "/socket.io/").await, (200, "Welcome to socket.io.".into()));
    let unsupported = (500, "Protocol version not supported.".into());
    assert_eq!(get(&emulator, &format!("/socket.io/2/?{login}")).await, unsupported);
    let (status, body) = get(&emulator, &format!("/socket.io/1/?jsonp=7&{login}")).await;
    let session = body.strip_prefix("io.j[7](\"").and_then(|rest| rest.strip_suffix("\");"));
    assert_eq!(status, 200, "{body}");
    assert_session(session.unwrap());
    assert_eq!(get(&emulator, &format!("/socket.io/1/?jsonp=alert(1)&{login}")).await.0, 400);
    assert_eq!(get(&emulator, "/socket.io/1/websocket/abc").await.0, 400);
    assert_eq!(get(&emulator, "/socket.io/1/xhr-polling/abc").await.0, 400);
    assert_eq!(get(&emulator, "/nothing").await.0, 404);
    let (status, body) = get(&emulator, "/").await;
    assert!(status == 200 && body.contains("hub-emulator"), "{body}");
}

#[tokio::test]
async fn a_session_id_is_good_for_one_websocket() {
    let emulator = Emulator::start().await.unwrap();
    let session = session(&emulator).await;
    let mut first = Client::with_session(&emulator, &session).await;
    assert_eq!(first.next().await, "1::");
    for wrong in [session.as_str(), "never-given"] {
        let mut second = Client::with_session(&emulator, wrong).await;
        // The JavaScript client speaks at once; its words must not turn the answer into a reset.
        second.try_send("5:::{}").await;
        assert_eq!(second.rest().await, ["7:::1+0"]);
    }
    assert_eq!(emulator.stats().unknown_sessions, 2);
    assert_eq!(emulator.state().connections, 1);
}

#[tokio::test]
async fn an_unused_handshake_is_forgotten() {
    let emulator = Emulator::builder().handshake_timeout(Duration::from_millis(50)).start().await.unwrap();
    let session = session(&emulator).await;
    let state = wait_for(&emulator, |state| state.pending_handshakes == 0).await;
    assert_eq!((state.stats.handshakes, state.stats.handshakes_expired), (1, 1));
    let mut late = Client::with_session(&emulator, &session).await;
    assert_eq!(late.rest().await, ["7:::1+0"]);
}

#[tokio::test]
async fn the_times_announced_are_whole_seconds_rounded_up() {
    let emulator = Emulator::builder()
        .heartbeat_timeout(Duration::from_millis(1500))
        .close_timeout(Duration::from_millis(1))
        .start()
        .await
        .unwrap();
    let (_, body) = get(&emulator, "/socket.io/1/?api_user=a&api_key=b").await;
    assert!(body.ends_with(":2:1:websocket"), "{body}");
}

#[tokio::test]
async fn connections_and_unused_handshakes_together_are_bounded() {
    let emulator = Emulator::builder().max_connections(2).start().await.unwrap();
    let _client = Client::connect(&emulator).await;
    session(&emulator).await;
    let head = "GET /socket.io/1/?api_user=a&api_key=b HTTP/1.1";
    assert_eq!(http(emulator.ftrack_addr(), head, "").await.0, 503);
    assert_eq!(emulator.stats().handshakes_over_limit, 1);
}
