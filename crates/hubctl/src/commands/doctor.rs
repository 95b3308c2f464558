//! `hubctl doctor`: one step of a connection after the other, until one fails, and what that means.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use ftrack_hub::dial::{Dialer as _, TcpDialer};
use ftrack_hub::{ErrorKind, Event, ServerUrl, Session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::connection::{Connection, Login, leave};
use crate::exit::{Exit, Failure, Result};
use crate::output::{Format, Writer, seconds};
use crate::text::plain;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const HMM: Style = AnsiColor::Yellow.on_default();
/// How far the clocks may be apart.
const CLOCK: Duration = Duration::from_secs(120);

/// Checks the address, the network, TLS, the clock, the credentials, the handshake, the heartbeat and a round trip, and
/// says in words what is wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long a step may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = super::seconds)]
    timeout: Duration,
    /// Stay connected until the server has sent a heartbeat, or for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    stay: Option<Duration>,
    #[command(flatten)]
    connection: Connection,
}

/// What a step found.
enum Found {
    Good(String),
    /// It can go on, but somebody should know.
    Odd(String),
    /// It cannot go on: what is wrong, and what to do.
    Bad {
        wrong: String,
        mend: String,
    },
}

pub(crate) async fn run(args: Args) -> Result {
    let login = args.connection.login()?;
    let mut out = Writer::stdout(Format::Line);
    let url = match ServerUrl::parse(&login.server) {
        Ok(url) => {
            told(&mut out, "address", &Found::Good(url.to_string()))?;
            url
        }
        Err(error) => {
            let mend = "write it as https://HOST or http://HOST:PORT".to_owned();
            return Err(ended(&mut out, "address", Found::Bad { wrong: error.message().to_owned(), mend }));
        }
    };
    let (network, clock) = reach(&url, args.timeout).await;
    step(&mut out, "network", network)?;
    if let Some(clock) = clock {
        step(&mut out, "clock", clock)?;
    }
    let session = login.session(args.timeout)?;
    step(&mut out, "handshake", handshake(&session, &login, args.timeout).await)?;
    let trip = round_trip(&session).await;
    step(&mut out, "round trip", trip)?;
    if let Some(stay) = args.stay {
        step(&mut out, "heartbeat", heartbeat(&session, stay).await)?;
    }
    leave(session.event_hub()).await;
    out.text("\nnothing is wrong")?;
    out.flush()
}

fn step(out: &mut Writer, name: &str, found: Found) -> Result {
    if matches!(found, Found::Bad { .. }) { Err(ended(out, name, found)) } else { told(out, name, &found) }
}

fn ended(out: &mut Writer, name: &str, found: Found) -> Failure {
    let shown = told(out, name, &found).and_then(|()| out.flush());
    match (shown, found) {
        (Err(failure), _) => failure,
        (Ok(()), Found::Bad { wrong, mend }) => {
            Failure::new(Exit::Connection, format!("{name}: {}", plain(&wrong))).next(mend)
        }
        (Ok(()), Found::Good(said) | Found::Odd(said)) => Failure::new(Exit::Failed, said),
    }
}

fn told(out: &mut Writer, name: &str, found: &Found) -> Result {
    let (style, word, said) = match found {
        Found::Good(said) => (GOOD, "ok   ", said),
        Found::Odd(said) => (HMM, "note ", said),
        Found::Bad { wrong, .. } => (BAD, "wrong", wrong),
    };
    out.text(&format!("{style}{word}{style:#}  {name:<11} {}", plain(said)))
}

/// A stream to the server, and what its answer to a plain request says about the time.
async fn reach(url: &ServerUrl, timeout: Duration) -> (Found, Option<Found>) {
    let endpoint = url.endpoint();
    let dialed = tokio::time::timeout(timeout, TcpDialer::default().dial(endpoint)).await;
    let mut stream = match dialed {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return (unreachable(&error), None),
        Err(_) => {
            let wrong = format!("no connection to {endpoint} within {}", seconds(timeout));
            let mend = "look for a firewall that drops packets, and whether a proxy is needed".to_owned();
            return (Found::Bad { wrong, mend }, None);
        }
    };
    let reached = Found::Good(format!(
        "{endpoint} answers{}",
        if endpoint.tls() { ", and its certificate is good" } else { "" }
    ));
    let request = format!("HEAD / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", endpoint.authority());
    let head = async {
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = vec![0; 8192];
        let mut filled = 0;
        while filled < head.len() {
            let read = stream.read(&mut head[filled..]).await.ok()?;
            filled += read;
            if read == 0 || head[..filled].windows(4).any(|end| end == b"\r\n\r\n") {
                break;
            }
        }
        head.truncate(filled);
        date(&head)
    };
    let date = tokio::time::timeout(timeout, head).await.ok().flatten();
    (reached, date.map(|date| clock(date, now())))
}

fn unreachable(error: &ftrack_hub::Error) -> Found {
    let mend = match error.kind() {
        ErrorKind::Tls => {
            "https only where the server speaks it; else mend its certificate, or trust its authority"
        }
        _ => "check host and port; is the server up, and is a proxy needed to reach it?",
    };
    Found::Bad { wrong: error.message().to_owned(), mend: mend.to_owned() }
}

/// The `Date` of an answer.
fn date(head: &[u8]) -> Option<std::time::SystemTime> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head).ok()?;
    let date = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("date"))?;
    httpdate::parse_http_date(std::str::from_utf8(date.value).ok()?).ok()
}

fn clock(theirs: std::time::SystemTime, ours: std::time::SystemTime) -> Found {
    let apart = theirs.duration_since(ours).unwrap_or_else(|error| error.duration());
    if apart <= CLOCK {
        return Found::Good("it agrees with the server's".to_owned());
    }
    let way = if theirs > ours { "behind" } else { "ahead of" };
    Found::Odd(format!(
        "this machine is {} {way} the server; tokens and certificates may be refused",
        seconds(apart)
    ))
}

#[expect(clippy::disallowed_methods, reason = "the clock is what is looked at")]
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

async fn handshake(session: &Session, login: &Login, timeout: Duration) -> Found {
    let connected = tokio::time::timeout(timeout * 3, session.event_hub().connect()).await;
    let error = match connected {
        Ok(Ok(())) => return Found::Good(format!("connected as {}", plain(&login.user))),
        Ok(Err(error)) => error,
        Err(_) => {
            return Found::Bad {
                wrong: format!("the server does not finish it within {}", seconds(timeout * 3)),
                mend: "it is reached but says nothing: is it an event hub, and is it overloaded?".to_owned(),
            };
        }
    };
    let mend = match error.kind() {
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => {
            "check user and API key; keys are in the user's account page, and they are not passwords"
        }
        ErrorKind::UnsupportedTransport | ErrorKind::Protocol => {
            "this is no event hub of ftrack: check host, port and path, and that no proxy answers in its place"
        }
        ErrorKind::Timeout => "the server is reached but does not answer: try again, or ask who runs it",
        _ => "try again; if it stays, ask who runs the server",
    };
    Found::Bad { wrong: error.message().to_owned(), mend: mend.to_owned() }
}

/// An event to ourselves and back.
async fn round_trip(session: &Session) -> Found {
    let begin = start();
    match there_and_back(session).await {
        Ok(()) => {
            Found::Good(format!("an event came back after {:.1} ms", begin.elapsed().as_secs_f64() * 1e3))
        }
        Err(error) => Found::Bad {
            wrong: format!("connected, but an event does not come back: {error}"),
            mend:
                "the connection works one way only: look for a proxy that buffers, or ask who runs the server"
                    .to_owned(),
        },
    }
}

async fn there_and_back(session: &Session) -> ftrack_hub::Result<()> {
    let hub = session.event_hub();
    let topic = format!("hubctl.doctor.{}", ftrack_hub::EventId::random());
    let answer = async |event: Event| ftrack_hub::Json(event.data_value().clone());
    let subscription = hub.subscribe(format!("topic={topic}").as_str()).handle(answer).await?;
    let asked = Event::new(topic, &serde_json::json!("é😀"))?;
    let reply = hub.publish_and_wait_for_reply(asked).await?;
    subscription.unsubscribe().await?;
    if reply.data_value() == "é😀" {
        return Ok(());
    }
    Err(ftrack_hub::Error::new(ErrorKind::Protocol, "round trip", "the text that came back is another"))
}

/// Stays, and looks whether the connection does.
async fn heartbeat(session: &Session, stay: Duration) -> Found {
    let broken =
        session.event_hub().wait_for_state(|state| !matches!(state, ftrack_hub::ConnectionState::Connected));
    match tokio::time::timeout(stay, broken).await {
        Err(_) => Found::Good(format!("still connected after {}", seconds(stay))),
        Ok(state) => Found::Bad {
            wrong: format!("the connection did not hold: it is now {state}"),
            mend: "look for a proxy that cuts idle connections".to_owned(),
        },
    }
}

#[expect(clippy::disallowed_methods, reason = "a round trip is measured")]
fn start() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn clocks_may_be_two_minutes_apart() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(matches!(clock(at(1000), at(1120)), Found::Good(_)));
        let Found::Odd(said) = clock(at(4600), at(1000)) else { panic!("an hour is nothing") };
        assert!(said.starts_with("this machine is 3600.0 s behind the server"), "{said}");
        assert!(matches!(clock(at(1000), at(4600)), Found::Odd(said) if said.contains("ahead of")));
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let head = b"HTTP/1.1 404 Not Found\r\nDate: Thu, 01 Jan 1970 00:01:00 GMT\r\n\r\n";
        assert_eq!(date(head), Some(UNIX_EPOCH + Duration::from_secs(60)));
        assert_eq!(date(b"HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(date(b"hello"), None);
    }
}
