//! Requests and their replies. A request is not told apart on the wire: an event is one when somebody answers it. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use event_core::EventId;
use serde::{Serialize, Serializer};

use super::log::Entry;
use super::summary;

/// How many replies of one request are kept.
const REPLIES: usize = 20;

/// A request that was answered.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Thread {
    /// The number of the request, unless it was out of view already when the first reply came.
    pub(super) sequence: Option<u64>,
    pub(super) id: String,
    pub(super) topic: Option<String>,
    pub(super) user: Option<String>,
    #[serde(serialize_with = "optional_millis")]
    at: Option<Duration>,
    summary: String,
    /// Oldest first; at most 20.
    pub(super) replies: Vec<Reply>,
    /// How many came besides.
    pub(super) more: u64,
}

/// One answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reply {
    pub(super) sequence: u64,
    pub(super) user: Option<String>,
    #[serde(serialize_with = "super::rows::millis")]
    at: Duration,
    /// From the request to this, in milliseconds.
    #[serde(serialize_with = "optional_millis")]
    after: Option<Duration>,
    summary: String,
}

/// The newest threads, by their first reply.
#[derive(Debug)]
pub(super) struct Threads {
    limit: usize,
    kept: VecDeque<Thread>,
    left_view: u64,
}

impl Threads {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, kept: VecDeque::new(), left_view: 0 }
    }

    /// Somebody answered.
    pub(super) fn reply(&mut self, request: &EventId, asked: Option<&Entry>, answer: &Entry) {
        let known = self.kept.iter_mut().rev().find(|thread| thread.id == request.as_str());
        let thread = match known {
            Some(thread) => thread,
            None => self.begin(request, asked),
        };
        if thread.replies.len() >= REPLIES {
            thread.more += 1;
            return;
        }
        thread.replies.push(Reply {
            sequence: answer.sequence,
            user: summary::user(answer),
            at: answer.at,
            after: thread.at.map(|asked| answer.at.saturating_sub(asked)),
            summary: summary::of(&answer.event),
        });
    }

    fn begin(&mut self, request: &EventId, asked: Option<&Entry>) -> &mut Thread {
        if self.kept.len() >= self.limit {
            self.kept.pop_front();
            self.left_view += 1;
        }
        self.kept.push_back(Thread {
            sequence: asked.map(|asked| asked.sequence),
            id: request.as_str().to_owned(),
            topic: asked.map(|asked| asked.event.topic().as_str().to_owned()),
            user: asked.and_then(summary::user),
            at: asked.map(|asked| asked.at),
            summary: asked.map(|asked| summary::of(&asked.event)).unwrap_or_default(),
            replies: Vec::new(),
            more: 0,
        });
        let last = self.kept.len() - 1;
        &mut self.kept[last]
    }

    /// Newest first.
    pub(super) fn newest(&self, most: usize) -> Vec<Thread> {
        self.kept.iter().rev().take(most).cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// How many are not kept any more.
    pub(super) fn left_view(&self) -> u64 {
        self.left_view
    }
}

#[expect(clippy::ref_option, reason = "serde gives it so")]
fn optional_millis<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(super::rows::in_millis).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use event_core::Event;

    use super::super::log::Fate;
    use super::*;

    fn entry(sequence: u64) -> Entry {
        let json = r#"{"topic":"t","source":{"user":{"username":"ann"}}}"#;
        let event = Event::from_json(json).unwrap();
        let at = Duration::from_millis(100 * sequence);
        let fate = Fate::Routed { recipients: 1 };
        Entry { sequence, at, from: None, user: None, fate, event, size: json.len() }
    }

    #[test]
    fn threads_and_their_replies_are_bounded_and_counted() {
        let mut threads = Threads::new(2);
        for id in ["a", "b", "c"] {
            threads.reply(&id.into(), None, &entry(1));
        }
        assert_eq!((threads.len(), threads.left_view()), (2, 1));
        for n in 0..30 {
            threads.reply(&"b".into(), None, &entry(n));
        }
        let newest = threads.newest(5);
        assert_eq!(newest.iter().map(|thread| thread.id.as_str()).collect::<Vec<_>>(), ["c", "b"]);
        assert_eq!((newest[1].replies.len(), newest[1].more), (20, 11));
    }

    #[test]
    fn a_reply_says_how_long_it_took() {
        let mut threads = Threads::new(2);
        threads.reply(&"a".into(), Some(&entry(3)), &entry(5));
        let json = serde_json::to_value(&threads.newest(1)[0]).unwrap();
        assert_eq!((&json["at"], &json["replies"][0]["after"]), (&300.0.into(), &200.0.into()));
        assert_eq!((&json["user"], &json["topic"]), (&"ann".into(), &"t".into()));
    }
}
