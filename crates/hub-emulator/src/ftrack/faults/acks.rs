//! What becomes of the acknowledgements of one connection. Pure.

use std::time::Duration;

use bytes::Bytes;

use super::action::Action;

/// How acknowledgements are spoiled just now.
#[derive(Debug, Default)]
pub(in crate::ftrack) struct Acks {
    withhold: Left,
    refuse: Left,
    refuse_every: u64,
    asked: u64,
    delay: Left,
    delay_by: Duration,
    window: usize,
    held: Vec<Bytes>,
    last: Option<Bytes>,
}

/// How many more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Left {
    #[default]
    None,
    Some(u64),
    All,
}

/// What to do with an acknowledgement.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::ftrack) enum Sent {
    /// This, now.
    Now(Bytes),
    /// These, in this order, now.
    Reordered(Vec<Bytes>),
    /// Never.
    Withheld,
    /// Not yet.
    Held,
    /// This, later.
    Later(Bytes, Duration),
}

impl Left {
    fn of(count: u64) -> Self {
        if count == 0 { Self::All } else { Self::Some(count) }
    }

    fn take(&mut self) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(left) => {
                *left -= 1;
                if *left == 0 {
                    *self = Self::None;
                }
                true
            }
        }
    }
}

impl Acks {
    /// Spoils them so from now on. Says whether the action is about acknowledgements.
    pub(in crate::ftrack) fn spoil(&mut self, action: &Action) -> bool {
        match action {
            Action::WithholdAcks { count } => self.withhold = Left::of(*count),
            Action::DelayAcks { count, ms } => {
                (self.delay, self.delay_by) = (Left::of(*count), Duration::from_millis(*ms));
            }
            Action::ReorderAcks { window } => self.window = *window,
            Action::RefuseAcks { count, every } => {
                (self.refuse, self.refuse_every) = (Left::of(*count), (*every).max(1));
                self.asked = 0;
            }
            _ => return false,
        }
        true
    }

    /// Whether the next event with a packet id is to be refused.
    pub(in crate::ftrack) fn refuses(&mut self) -> bool {
        if self.refuse == Left::None {
            return false;
        }
        self.asked += 1;
        self.asked.is_multiple_of(self.refuse_every) && self.refuse.take()
    }

    /// What becomes of this one.
    pub(in crate::ftrack) fn pass(&mut self, ack: Bytes) -> Sent {
        if self.withhold.take() {
            return Sent::Withheld;
        }
        self.last = Some(ack.clone());
        if self.delay.take() {
            return Sent::Later(ack, self.delay_by);
        }
        if self.window < 2 {
            return Sent::Now(ack);
        }
        self.held.push(ack);
        if self.held.len() < self.window {
            return Sent::Held;
        }
        self.held.reverse();
        Sent::Reordered(std::mem::take(&mut self.held))
    }

    /// The last one that went its way.
    pub(in crate::ftrack) fn last(&self) -> Option<&Bytes> {
        self.last.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(acks: &mut Acks, names: &[&'static str]) -> Vec<Bytes> {
        let sent = names.iter().map(|name| acks.pass(Bytes::from_static(name.as_bytes())));
        sent.flat_map(|sent| match sent {
            Sent::Now(packet) => vec![packet],
            Sent::Reordered(packets) => packets,
            Sent::Withheld | Sent::Held => vec![],
            Sent::Later(..) => panic!("late"),
        })
        .collect()
    }

    #[test]
    fn acknowledgements_are_withheld_reordered_and_refused_as_often_as_asked() {
        let mut acks = Acks::default();
        assert!(!acks.spoil(&Action::Fin));
        assert_eq!(pass(&mut acks, &["a"]), ["a"]);
        assert!(acks.spoil(&Action::WithholdAcks { count: 2 }));
        assert_eq!(pass(&mut acks, &["a", "b", "c"]), ["c"]);
        acks.spoil(&Action::ReorderAcks { window: 3 });
        assert_eq!(pass(&mut acks, &["a", "b", "c", "d"]), ["c", "b", "a"]);
        acks.spoil(&Action::RefuseAcks { count: 2, every: 3 });
        let refused: Vec<bool> = (0..9).map(|_| acks.refuses()).collect();
        assert_eq!(refused, [false, false, true, false, false, true, false, false, false]);
        acks.spoil(&Action::DelayAcks { count: 1, ms: 5 });
        let late = acks.pass("x".into());
        assert_eq!(late, Sent::Later("x".into(), Duration::from_millis(5)));
    }
}
