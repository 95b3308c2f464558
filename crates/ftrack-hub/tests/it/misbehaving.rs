//! A server that sends what it should not: it is told, and the rest arrives.

use ftrack_hub::{ErrorKind, Lifecycle, Session};

use crate::scripted::{Peer, Scripted};
use crate::support::{Log, break_reason, event, quick, report, within};

async fn served() -> (Scripted, Session, Peer) {
    let server = Scripted::start().await;
    let session = Session::builder(server.url(), "ann", "k").reconnect(quick()).build().unwrap();
    let hub = session.event_hub();
    let (connecting, peer) = within(async { tokio::join!(hub.connect(), server.accept()) }).await;
    connecting.unwrap();
    (server, session, peer)
}

async fn following(session: &Session, peer: &mut Peer) -> Log {
    let log = Log::default();
    tokio::join!(log.follow(session.event_hub(), "topic=t"), peer.acknowledge());
    log
}

#[tokio::test]
async fn malformed_packets_and_events_are_reported_and_the_others_arrive() {
    let (_server, session, mut peer) = served().await;
    let hub = session.event_hub();
    let log = following(&session, &mut peer).await;
    let mut lifecycle = hub.lifecycle();
    peer.tell(r#"{"topic":"t","data":1}"#).await;
    let bad = [
        r#"5:::{"name":"ftrack.event","args":[{"id":"no topic"}]}"#,
        r#"5:::{"name":"ftrack.event","args":[{"topic":7}]}"#,
        r#"5:::{"name":"ftrack.event","args":["text"]}"#,
        r#"5:::{"name":"ftrack.event","args":[]}"#,
        r#"5:::{"name":"ftrack.event""#,
        "8::",
        "9::",
        "",
        "hello",
        "6:::77",
    ];
    for text in bad {
        peer.say(text).await;
        peer.tell(r#"{"topic":"t","data":"next"}"#).await;
    }
    // No-op is a packet like any other; `8::` is no problem.
    for _ in 0..bad.len() - 1 {
        let error = report(&mut lifecycle, |change| match change {
            Lifecycle::Problem(error) => Some(error),
            other => panic!("{other:?}"),
        })
        .await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    }
    let lines = log.wait_for(1 + bad.len()).await;
    assert_eq!(lines.iter().filter(|line| *line == "\"next\"").count(), bad.len());
    assert!(hub.is_connected());
    assert_eq!(hub.stats().problems, 9);
}

#[tokio::test]
async fn an_unknown_member_of_an_event_is_kept_and_a_packet_may_hold_two_events() {
    let (_server, session, mut peer) = served().await;
    let mut stream =
        tokio::join!(session.event_hub().subscribe("topic=t").stream(), peer.acknowledge()).0.unwrap();
    peer.tell(r#"{"topic":"t","data":1,"x-new":[1]},{"data":2,"topic":"t"}"#).await;
    let first = within(stream.next()).await.unwrap().unwrap().into_event();
    assert_eq!(first.extra("x-new").unwrap().as_str(), "[1]");
    assert_eq!(within(stream.next()).await.unwrap().unwrap().event().data_value(), 2);
}

#[tokio::test]
async fn a_server_that_knows_the_session_no_more_gets_a_new_handshake() {
    let (server, session, mut peer) = served().await;
    let mut lifecycle = session.event_hub().lifecycle();
    peer.say("7:::1+0").await;
    assert_eq!(break_reason(&mut lifecycle).await.kind(), ErrorKind::Disconnected);
    drop(peer);
    let mut peer = within(server.accept()).await;
    let log = following(&session, &mut peer).await;
    peer.tell(r#"{"topic":"t","data":1}"#).await;
    log.wait_for(1).await;
}

#[tokio::test]
async fn an_acknowledgement_that_says_no_is_a_refusal_with_the_servers_words() {
    let (_server, session, mut peer) = served().await;
    let publishing = tokio::spawn(session.event_hub().publish(event("t", 1)).into_future());
    let (number, _) = peer.hear().await;
    peer.say(&format!(r#"6:::{number}+[{{"success":false,"error":"not your topic"}}]"#)).await;
    let error = within(publishing).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("not your topic"), "{error}");
    // An automatic acknowledgement, without data, is a yes.
    let publishing = tokio::spawn(session.event_hub().publish(event("t", 1)).into_future());
    let (number, _) = peer.hear().await;
    peer.say(&format!("6:::{number}")).await;
    within(publishing).await.unwrap().unwrap();
}
