//! What is refused: with the right status, counted, and nothing of it handled.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, StatusCode};
use http_body_util::{Full, StreamBody};
use imodelhub_events::webhooks::{ReceiverStats, Refusal, SIGNATURE, SigningKeys, WebhookReceiver};
use imodelhub_events::{ErrorKind, HubEvent};

use super::sending::{SECRET, body, keys, receiver, send, signed, when_sent};
use crate::support::Log;

type Sent = Request<Full<Bytes>>;
type Counter = fn(&ReceiverStats) -> u64;

fn changed(change: impl FnOnce(&mut Sent)) -> Sent {
    let mut request = signed(body("refused"));
    change(&mut request);
    request
}

#[tokio::test]
async fn a_bad_request_gets_its_status_is_counted_and_not_handled() {
    let receiver = receiver(|builder| builder.max_body(1_000));
    let log = Log::default();
    let handled = log.clone();
    let _listener = receiver
        .create_listener()
        .handle(move |event: HubEvent| {
            handled.add(event.message_id().unwrap());
            async {}
        })
        .await
        .unwrap();
    let other = SigningKeys::new(["another secret, as long as the right one"]).unwrap();
    let with = |body: &str| signed(body.to_owned());
    let headed = |name, value: &str| changed(|r| drop(r.headers_mut().insert(name, value.parse().unwrap())));
    let without = |name| changed(|r| drop(r.headers_mut().remove(name)));
    let anothers = other.sign(body("refused").as_bytes());
    let cases: Vec<(&str, Sent, u16, Counter)> = vec![
        ("GET", changed(|r| *r.method_mut() = http::Method::GET), 405, |s| s.wrong_method),
        ("OPTIONS", changed(|r| *r.method_mut() = http::Method::OPTIONS), 405, |s| s.wrong_method),
        ("text", headed(CONTENT_TYPE, "text/plain"), 415, |s| s.wrong_content_type),
        ("no type", without(CONTENT_TYPE), 415, |s| s.wrong_content_type),
        ("long by its head", headed(CONTENT_LENGTH, "1001"), 413, |s| s.too_large),
        ("long", with(&format!("{{\"a\":\"{}\"}}", "x".repeat(1_000))), 413, |s| s.too_large),
        ("unsigned", without(SIGNATURE), 401, |s| s.signature_missing),
        ("half a signature", headed(SIGNATURE, "sha256=00"), 401, |s| s.signature_malformed),
        ("another secret's", headed(SIGNATURE, &anothers), 401, |s| s.signature_wrong),
        ("another body's", changed(|r| *r.body_mut() = Full::from(body("another"))), 401, |s| {
            s.signature_wrong
        }),
        ("no JSON", with("{"), 400, |s| s.malformed),
        ("a list", with("[]"), 400, |s| s.malformed),
        ("nothing", with(""), 400, |s| s.malformed),
    ];
    let count = cases.len() as u64;
    for (name, request, status, counter) in cases {
        let before = counter(&receiver.stats());
        let answer = receiver.answer(request).await;
        assert_eq!(answer.status().as_u16(), status, "{name}");
        assert_eq!(answer.extensions().get::<Refusal>().unwrap().status(), answer.status(), "{name}");
        assert_eq!(answer.headers().contains_key(ALLOW), status == 405, "{name}");
        assert!(!answer.headers().contains_key(RETRY_AFTER), "{name}");
        assert_eq!(counter(&receiver.stats()), before + 1, "{name}");
    }
    let stats = receiver.stats();
    assert_eq!((stats.refused(), stats.accepted, stats.repeats), (count, 0, 0));
    // A good one is handled, and none before it was.
    assert_eq!(send(&receiver, "good").await, StatusCode::OK);
    assert_eq!(log.wait_for(1).await, ["good"]);
    let shown = format!("{receiver:?} {:?} {:?}", keys(), receiver.service());
    assert!(!shown.contains(SECRET) && !shown.contains("good"), "{shown}");
}

#[tokio::test]
async fn stale_events_are_refused_where_that_is_asked_for() {
    for (ahead, status) in [(0, 200), (300, 200), (301, 400)] {
        let clocks: [fn() -> std::time::SystemTime; 3] =
            [when_sent, || when_sent() + Duration::from_secs(300), || when_sent() + Duration::from_secs(301)];
        let clock = clocks[usize::from(ahead > 0) + usize::from(ahead > 300)];
        let receiver = receiver(|builder| builder.stale_after(Duration::from_secs(300)).wall_clock(clock));
        let _listener = receiver.create_listener().handle(async |_event: HubEvent| {}).await.unwrap();
        assert_eq!(send(&receiver, "1").await.as_u16(), status, "{ahead}");
        assert_eq!(receiver.stats().stale, u64::from(status == 400));
        let undated = signed(r#"{"eventType":"a","messageId":"2"}"#.to_owned());
        assert_eq!(receiver.answer(undated).await.status(), StatusCode::BAD_REQUEST);
    }
    let early = receiver(|builder| {
        builder.stale_after(Duration::from_secs(300)).wall_clock(|| when_sent() - Duration::from_secs(301))
    });
    let _listener = early.create_listener().handle(async |_event: HubEvent| {}).await.unwrap();
    assert_eq!(send(&early, "1").await, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_in_time_or_breaks_off_is_refused() {
    let receiver = receiver(|builder| builder.answer_within(Duration::from_secs(3)));
    let _listener = receiver.create_listener().handle(async |_event: HubEvent| {}).await.unwrap();
    let begun = tokio::time::Instant::now();
    let frames = stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
    let (head, _) = signed(body("1")).into_parts();
    let slow = Request::from_parts(head.clone(), StreamBody::new(frames));
    assert_eq!(receiver.answer(slow).await.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(begun.elapsed().as_secs(), 3);
    let frames = stream::iter([
        Ok(http_body::Frame::data(Bytes::from_static(b"{"))),
        Err(std::io::Error::other("the connection was reset")),
    ]);
    let broken = Request::from_parts(head, StreamBody::new(frames));
    assert_eq!(receiver.answer(broken).await.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(receiver.stats().incomplete, 2);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let with = || WebhookReceiver::builder(keys());
    for builder in [
        with().capacity(0),
        with().capacity(usize::MAX),
        with().max_body(0),
        with().answer_within(Duration::ZERO),
        with().answer_within(Duration::from_secs(5)),
    ] {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
