//! The events that the inspector has in view: a ring, bounded by count and by bytes. Pure; times are arguments.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use event_core::{Event, EventId};
use serde::Serialize;

use super::threads::Threads;
use crate::ftrack::{Became, Seen};

/// How much is kept in view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) events: usize,
    /// Of the texts of events.
    pub(super) bytes: usize,
    pub(super) threads: usize,
}

/// One event, as it came.
#[derive(Debug)]
pub(super) struct Entry {
    /// 1 for the first that the inspector saw.
    pub(super) sequence: u64,
    /// Since 1970.
    pub(super) at: Duration,
    pub(super) from: Option<u64>,
    /// The user of the connection.
    pub(super) user: Option<Box<str>>,
    pub(super) fate: Fate,
    pub(super) event: Event,
    pub(super) size: usize,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "fate")]
pub(super) enum Fate {
    Routed { recipients: usize },
    Subscribed,
    Unsubscribed,
    Refused { why: Box<str> },
    Repeated,
    UnreadableTarget,
}

/// What the log holds, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    /// Events seen since the inspector began.
    pub(super) seen: u64,
    /// Of these, still in view.
    pub(super) kept: usize,
    /// Of these, dropped from view, because there is room for so many only.
    pub(super) left_view: u64,
    /// The texts of what is in view, in bytes.
    pub(super) bytes: usize,
}

/// What came after a place in the log.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// Oldest first.
    pub(super) entries: Vec<Arc<Entry>>,
    /// How many have left the view already.
    pub(super) missed: u64,
}

/// The ring.
#[derive(Debug)]
pub(super) struct Log {
    limits: Limits,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    seen: u64,
    by_id: HashMap<EventId, u64>,
    threads: Threads,
}

impl Log {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: VecDeque::new(),
            bytes: 0,
            seen: 0,
            by_id: HashMap::new(),
            threads: Threads::new(limits.threads),
        }
    }

    /// Takes an event in, and drops from view what there is no room for any more.
    pub(super) fn push(&mut self, seen: &Seen<'_>) -> u64 {
        self.seen += 1;
        let size = seen.event.to_json().len();
        let entry = Arc::new(Entry {
            sequence: self.seen,
            at: seen.at,
            from: seen.from,
            user: seen.user.map(Into::into),
            fate: seen.became.into(),
            event: seen.event.clone(),
            size,
        });
        if entry.fate != Fate::Repeated {
            if let Some(request) = entry.event.in_reply_to() {
                let asked = self.by_id.get(request).and_then(|sequence| self.get(*sequence)).cloned();
                self.threads.reply(request, asked.as_deref(), &entry);
            }
            if let Some(id) = entry.event.id() {
                self.by_id.insert(id.clone(), entry.sequence);
            }
        }
        self.bytes += size;
        self.entries.push_back(entry);
        while self.entries.len() > self.limits.events || self.bytes > self.limits.bytes {
            let Some(gone) = self.entries.pop_front() else { break };
            self.bytes -= gone.size;
            if let Some(id) = gone.event.id()
                && self.by_id.get(id) == Some(&gone.sequence)
            {
                self.by_id.remove(id);
            }
        }
        self.seen
    }

    /// The event of this number, while it is in view.
    pub(super) fn get(&self, sequence: u64) -> Option<&Arc<Entry>> {
        let first = self.entries.front()?.sequence;
        self.entries.get(usize::try_from(sequence.checked_sub(first)?).ok()?)
    }

    /// What came after this number.
    pub(super) fn after(&self, sequence: u64) -> Later {
        let Some(first) = self.entries.front().map(|entry| entry.sequence) else {
            return Later { entries: Vec::new(), missed: self.seen.saturating_sub(sequence) };
        };
        let next = sequence.saturating_add(1);
        let skip = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        let entries = self.entries.iter().skip(skip.min(self.entries.len())).cloned().collect();
        Later { entries, missed: first.saturating_sub(next) }
    }

    pub(super) fn threads(&self) -> &Threads {
        &self.threads
    }

    pub(super) fn counts(&self) -> Counts {
        let kept = self.entries.len();
        Counts { seen: self.seen, kept, left_view: self.seen - kept as u64, bytes: self.bytes }
    }
}

impl Fate {
    /// Whether the hub took it to route it, even if to nobody.
    pub(super) fn is_routed(&self) -> bool {
        matches!(self, Self::Routed { .. } | Self::UnreadableTarget)
    }
}

impl From<Became<'_>> for Fate {
    fn from(became: Became<'_>) -> Self {
        match became {
            Became::Routed(recipients) => Self::Routed { recipients },
            Became::Subscribed => Self::Subscribed,
            Became::Unsubscribed => Self::Unsubscribed,
            Became::Refused(why) => Self::Refused { why: why.into() },
            Became::Repeated => Self::Repeated,
            Became::UnreadableTarget => Self::UnreadableTarget,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(log: &mut Log, json: &str, became: Became<'_>) -> u64 {
        let event = Event::from_json(json.to_owned()).unwrap();
        let at = Duration::from_millis(log.counts().seen * 10);
        log.push(&Seen { event: &event, from: Some(7), user: Some("ann"), became, at })
    }

    fn small() -> Log {
        Log::new(Limits { events: 3, bytes: 1_000, threads: 2 })
    }

    fn numbers(later: &Later) -> Vec<u64> {
        later.entries.iter().map(|entry| entry.sequence).collect()
    }

    #[test]
    fn the_newest_events_stay_in_view_and_the_others_are_counted() {
        let mut log = small();
        assert_eq!((numbers(&log.after(0)), log.after(0).missed), (vec![], 0));
        for n in 1..=5 {
            assert_eq!(push(&mut log, &format!(r#"{{"topic":"t","id":"{n}"}}"#), Became::Routed(1)), n);
        }
        let counts = log.counts();
        assert_eq!((counts.seen, counts.kept, counts.left_view), (5, 3, 2));
        assert_eq!(counts.bytes, 3 * r#"{"topic":"t","id":"1"}"#.len());
        assert_eq!(log.by_id.len(), 3);
        assert!(log.get(2).is_none() && log.get(6).is_none());
        assert_eq!(log.get(3).unwrap().sequence, 3);
        let later = log.after(1);
        assert_eq!((numbers(&later), later.missed), (vec![3, 4, 5], 1));
        assert_eq!((numbers(&log.after(4)), log.after(4).missed), (vec![5], 0));
        for beyond in [9, u64::MAX] {
            assert_eq!((numbers(&log.after(beyond)), log.after(beyond).missed), (vec![], 0));
        }
    }

    #[test]
    fn large_events_push_others_out_and_one_beyond_all_room_is_only_counted() {
        let mut log = small();
        push(&mut log, r#"{"topic":"t"}"#, Became::Routed(0));
        let large = format!(r#"{{"topic":"t","data":"{}"}}"#, "x".repeat(975));
        push(&mut log, &large, Became::Routed(0));
        assert_eq!(log.counts().kept, 1);
        push(&mut log, &format!(r#"{{"topic":"t","data":"{}"}}"#, "x".repeat(2_000)), Became::Routed(0));
        assert_eq!(log.counts(), Counts { seen: 3, kept: 0, left_view: 3, bytes: 0 });
        assert_eq!(log.after(1).missed, 2);
    }

    #[test]
    fn replies_belong_to_the_event_they_answer() {
        let mut log = small();
        push(&mut log, r#"{"topic":"ask","id":"q"}"#, Became::Routed(1));
        push(&mut log, r#"{"topic":"ftrack.meta.reply","id":"r","inReplyToEvent":"q"}"#, Became::Routed(1));
        push(&mut log, r#"{"topic":"ftrack.meta.reply","id":"r","inReplyToEvent":"q"}"#, Became::Repeated);
        let threads = log.threads().newest(10);
        assert_eq!((threads.len(), threads[0].replies.len()), (1, 1), "a repeat is no second reply");
        assert_eq!((threads[0].sequence, threads[0].replies[0].sequence), (Some(1), 2));
        assert_eq!(threads[0].topic.as_deref(), Some("ask"));
    }
}
