//! The client's session under any sequence of operations, one a line.
//!
//! | line | operation |
//! |---|---|
//! | `C3 20` as the first line | a window of 3, an ack timeout of 20 s |
//! | `<text`, and any line that is nothing else here | the text comes in |
//! | `>json` | publish |
//! | `k7` | packet 7 is acknowledged |
//! | `t5` | 5 s pass |
//! | `T` | the time of the next timeout comes |
//! | `r` | a timeout whose time is long over |
//! | `w2` | the window becomes 2 |
//! | `b`, `a` | a binary message, some other activity |
//! | `p`, `e`, `l`, `f`, `c` | ends: close frame, end of connection, too large, broken framing, our own |

mod watcher;

use std::time::{Duration, Instant};

use event_core::RawJson;
use transport_ws::session::{EmitError, Session, SessionConfig, State};

use watcher::Watcher;

/// Longer texts end a session.
const MAX_FRAME: usize = 2048;

/// Leads a session through the operations that the bytes are.
///
/// # Panics
///
/// When a publish does not have exactly one last word, when anything follows the end, when an event or a heartbeat
/// is not answered as the protocol wants, when there are too many outputs, or when the counters do not add up.
pub fn body(data: &[u8]) {
    let script = crate::text(data);
    let mut lines = script.split('\n').peekable();
    let first = lines.next_if(|line| line.starts_with('C')).unwrap_or_default();
    let mut run = Run::new(first.get(1..).unwrap_or_default());
    for line in lines {
        run.operation(line);
    }
    run.session.close(run.now);
    run.watcher.drain(&mut run.session);
    run.watcher.ended(&run.session.stats());
}

struct Run {
    session: Session,
    watcher: Watcher,
    start: Instant,
    now: Instant,
}

impl Run {
    fn new(config: &str) -> Self {
        let (window, timeout) = config.split_once(' ').unwrap_or((config, ""));
        let window = number(window).min(64);
        let timeout = (!timeout.is_empty()).then(|| Duration::from_secs(number(timeout) as u64 + 1));
        let config = SessionConfig::default().window(window).max_frame(MAX_FRAME).ack_timeout(timeout);
        let start = start();
        let watcher = Watcher::new(config.window);
        Self { session: Session::new(config, start), watcher, start, now: start }
    }

    fn operation(&mut self, line: &str) {
        let session = &mut self.session;
        let (operation, rest) = line.split_at(line.chars().next().map_or(0, char::len_utf8));
        match operation {
            ">" => self.publish(rest),
            "k" => self.text(&format!("6:::{}+[{{}}]", number(rest))),
            "<" => self.text(rest),
            "t" => {
                self.now += Duration::from_secs(number(rest) as u64);
                session.handle_timeout(self.now);
                assert!(session.poll_timeout().is_none_or(|timeout| timeout > self.now), "due at once");
            }
            "T" => self.wake(),
            "r" => session.handle_timeout(self.start),
            "w" => {
                let window = number(rest).min(64);
                self.watcher.allow(window);
                session.set_window(window);
            }
            "b" => session.handle_binary(self.now),
            "a" => session.handle_activity(self.now),
            "p" => session.handle_peer_close(self.now, rest.parse().ok()),
            "e" => session.handle_eof(self.now),
            "l" => session.handle_too_large(self.now),
            "f" => session.handle_broken_framing(self.now),
            "c" => session.close(self.now),
            _ => self.text(line),
        }
        self.watcher.drain(&mut self.session);
    }

    fn text(&mut self, text: &str) {
        if !matches!(self.session.state(), State::Closed(_)) && text.len() <= MAX_FRAME {
            self.watcher.hears(text);
        }
        self.session.handle_text(self.now, text.to_owned());
    }

    fn publish(&mut self, json: &str) {
        let is_json = RawJson::from_text(json.to_owned()).is_ok();
        let json = if is_json { json.trim() } else { "{}" };
        match self.session.emit(self.now, "ftrack.event", json) {
            Ok(id) => {
                self.watcher.published(id);
                assert!(self.session.in_flight() <= self.session.config().window);
            }
            Err(EmitError::Closed) => assert!(matches!(self.session.state(), State::Closed(_))),
            Err(_) => assert!(self.session.in_flight() >= self.session.config().window),
        }
    }

    /// A session that asks to be woken has something to do then.
    fn wake(&mut self) {
        let Some(timeout) = self.session.poll_timeout() else { return };
        self.now = self.now.max(timeout);
        let before = self.session.stats().unconfirmed;
        self.session.handle_timeout(self.now);
        let ended = matches!(self.session.state(), State::Closed(_));
        assert!(ended || self.session.stats().unconfirmed > before, "woken for nothing");
    }
}

/// Some instant; the others are made from it.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made from nothing")]
fn start() -> Instant {
    Instant::now()
}

/// The number at the start of a text, at most 65,535; 0 without one.
fn number(text: &str) -> usize {
    let digits = text.bytes().take_while(u8::is_ascii_digit).take(5);
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')).min(65_535)
}
