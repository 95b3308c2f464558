//! Where authorizations come from: one request at a time, renewed before they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use event_core::{Error, ErrorKind, Result, Retry};
use futures_util::future::join_all;
use parking_lot::Mutex;
use transport_longpoll::auth::{Authorization, FixedAuth, QueueAuth, SharedAuth, sas_expiry};

use crate::support::secs;

/// Takes a second for each answer, and fails as told.
#[derive(Default)]
struct Source {
    calls: AtomicU32,
    lasts: Option<u64>,
    failing: Mutex<Option<(ErrorKind, Retry)>>,
}

/// The wall clock of the tests stands still at 1000 s.
fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + secs(1000)
}

#[async_trait]
impl QueueAuth for Source {
    async fn authorization(&self, _refused: Option<&Authorization>) -> Result<Authorization> {
        let n = self.calls.fetch_add(1, SeqCst) + 1;
        tokio::time::sleep(secs(1)).await; // paused
        if let Some((kind, retry)) = *self.failing.lock() {
            return Err(Error::new(kind, "authorize", "told to fail").with_retry(retry));
        }
        Ok(match self.lasts {
            Some(lasts) => Authorization::sas(format!("SharedAccessSignature sig={n}&se={}", 1000 + lasts)),
            None => Authorization::new(format!("token-{n}")),
        })
    }
}

fn shared(source: Source) -> (Arc<Source>, SharedAuth<Arc<Source>>) {
    let source = Arc::new(source);
    (Arc::clone(&source), SharedAuth::new(source).wall_clock(wall))
}

#[test]
fn the_end_of_a_signature_is_read_wherever_it_stands() {
    for (token, expected) in [
        ("SharedAccessSignature sr=x&sig=y&se=1795445805&skn=k", Some(1_795_445_805)),
        ("SharedAccessSignature se=5&sr=x", Some(5)),
        ("sharedaccesssignature  sr=x& se=5", Some(5)),
        ("SharedAccessSignature sr=x&sse=5", None),
        ("SharedAccessSignature sr=x&se=", None),
        ("SharedAccessSignature sr=x&se=-5", None),
        ("SharedAccessSignature sr=x&se=99999999999999999999999", None),
        ("Bearer se=5", None),
        ("InvalidSASToken", None),
        ("", None),
    ] {
        assert_eq!(sas_expiry(token), expected, "{token}");
    }
    assert_eq!(Authorization::sas("SharedAccessSignature se=18446744073709551615").expires, None);
}

#[test]
fn an_authorization_does_not_show() {
    let authorization = Authorization::sas("SharedAccessSignature sig=marked-4711&se=5");
    let shown = format!("{authorization:?} {:?}", FixedAuth::new(authorization.clone()));
    assert!(!shown.contains("4711"));
}

#[tokio::test(start_paused = true)]
async fn however_many_wait_the_source_is_asked_once() {
    let (source, auth) = shared(Source::default());
    let tokens = join_all((0..20).map(|_| auth.authorization(None))).await;
    assert!(tokens.iter().all(|token| token.as_ref().unwrap().value.expose() == "token-1"));
    assert_eq!(source.calls.load(SeqCst), 1);
    // All were refused the same one: one more request.
    let refused = tokens.into_iter().next().unwrap().unwrap();
    let tokens = join_all((0..20).map(|_| auth.authorization(Some(&refused)))).await;
    assert!(tokens.iter().all(|token| token.as_ref().unwrap().value.expose() == "token-2"));
    assert_eq!(source.calls.load(SeqCst), 2);
    // Somebody who comes late with the old one gets the new one.
    assert_eq!(auth.authorization(Some(&refused)).await.unwrap().value.expose(), "token-2");
    assert_eq!(source.calls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_to_all_who_waited_and_not_to_those_who_come_later() {
    let (source, auth) = shared(Source::default());
    *source.failing.lock() = Some((ErrorKind::Unreachable, Retry::Backoff));
    let failures = join_all((0..20).map(|_| auth.authorization(None))).await;
    assert!(failures.iter().all(|failure| failure.as_ref().unwrap_err().kind() == ErrorKind::Unreachable));
    assert_eq!(source.calls.load(SeqCst), 1);
    *source.failing.lock() = None;
    assert_eq!(auth.authorization(None).await.unwrap().value.expose(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn it_is_replaced_a_margin_before_its_end() {
    let (source, auth) = shared(Source { lasts: Some(600), ..Source::default() });
    auth.authorization(None).await.unwrap();
    tokio::time::advance(secs(539)).await;
    auth.authorization(None).await.unwrap();
    assert_eq!(source.calls.load(SeqCst), 1);
    tokio::time::advance(secs(1)).await;
    auth.authorization(None).await.unwrap();
    assert_eq!(source.calls.load(SeqCst), 2);
    // A short one is used for half of its time.
    let (source, auth) = shared(Source { lasts: Some(10), ..Source::default() });
    auth.authorization(None).await.unwrap();
    tokio::time::advance(secs(4)).await;
    auth.authorization(None).await.unwrap();
    assert_eq!(source.calls.load(SeqCst), 1);
    tokio::time::advance(secs(1)).await;
    auth.authorization(None).await.unwrap();
    assert_eq!(source.calls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn while_it_is_still_good_a_failure_to_replace_it_does_no_harm() {
    let (source, auth) = shared(Source { lasts: Some(600), ..Source::default() });
    let first = auth.authorization(None).await.unwrap();
    *source.failing.lock() = Some((ErrorKind::Unreachable, Retry::Backoff));
    tokio::time::advance(secs(540)).await;
    let second = auth.authorization(None).await.unwrap();
    assert_eq!(first.value.expose(), second.value.expose());
    auth.authorization(None).await.unwrap();
    assert_eq!(source.calls.load(SeqCst), 2, "not asked again at once");
    tokio::time::advance(secs(15)).await;
    auth.authorization(None).await.unwrap();
    assert_eq!(source.calls.load(SeqCst), 3);
    // Refused, it is good no longer.
    assert!(auth.authorization(Some(&first)).await.is_err());
    tokio::time::advance(secs(60)).await;
    assert!(auth.authorization(None).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_short_one_that_could_not_be_replaced_is_asked_for_again_before_its_end() {
    let (source, auth) = shared(Source { lasts: Some(10), ..Source::default() });
    let first = auth.authorization(None).await.unwrap();
    *source.failing.lock() = Some((ErrorKind::Unreachable, Retry::Backoff));
    tokio::time::advance(secs(5)).await;
    let second = auth.authorization(None).await.unwrap();
    assert_eq!(first.value.expose(), second.value.expose());
    *source.failing.lock() = None;
    tokio::time::advance(secs(2)).await;
    let third = auth.authorization(None).await.unwrap();
    assert_ne!(first.value.expose(), third.value.expose());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_over_when_it_comes_is_used_until_it_is_refused() {
    let (source, auth) = shared(Source { lasts: Some(0), ..Source::default() });
    for _ in 0..10 {
        auth.authorization(None).await.unwrap();
        tokio::time::advance(secs(60)).await;
    }
    assert_eq!(source.calls.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_the_turn_to_the_next() {
    let (source, auth) = shared(Source::default());
    let auth = Arc::new(auth);
    let impatient = tokio::time::timeout(Duration::from_millis(500), auth.authorization(None));
    let (given_up, token) = tokio::join!(impatient, auth.authorization(None));
    assert!(given_up.is_err());
    assert_eq!(token.unwrap().value.expose(), "token-2");
    assert_eq!(source.calls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_one_has_no_replacement() {
    let fixed = FixedAuth::new(Authorization::new("only"));
    let only = fixed.authorization(None).await.unwrap();
    let error = fixed.authorization(Some(&only)).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, Retry::Never));
}
