//! Two candidates and a server, over a network that delays, loses and reorders: every course of events up to a horizon.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::*;

/// Ticks of the model.
fn ticks(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn times(lease: u64) -> Times {
    Times { lease: ticks(lease), margin: ticks(1), renew: ticks(2), retry: ticks(1), answer: ticks(2) }
}

/// So short that much happens before the horizon.
fn brisk(lease: u64) -> Times {
    Times { renew: ticks(1), answer: ticks(1), ..times(lease) }
}

/// How long the server keeps the value.
const KEPT: u64 = 3;
/// How far the model goes.
const HORIZON: u64 = 6;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Candidate {
    lease: Lease,
    /// Questions on their way to the server, oldest first, and whether somebody still waits for the answer.
    going: Vec<(Ask, bool)>,
    /// The answer on its way back.
    coming: Option<Answer>,
    /// How often this candidate died; a value of an earlier life is not ours.
    lives: u8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    now: u64,
    /// The writer, the revision, and when it was written.
    value: Option<((usize, u8), u64, u64)>,
    revision: u64,
    candidates: [Candidate; 2],
    deaths: u8,
}

impl World {
    fn new(times: Times) -> Self {
        let candidate =
            Candidate { lease: Lease::new(times, Duration::ZERO), going: Vec::new(), coming: None, lives: 0 };
        let candidates = [candidate.clone(), candidate];
        Self { now: 0, value: None, revision: 0, candidates, deaths: 0 }
    }

    fn now(&self) -> Duration {
        ticks(self.now)
    }

    /// Candidates do what they have to.
    fn poll(&mut self) {
        let now = self.now();
        for candidate in &mut self.candidates {
            if let Step::Ask(ask) = candidate.lease.poll(now) {
                candidate.coming = None;
                candidate.going.iter_mut().for_each(|(_, waited_for)| *waited_for = false);
                // A network that keeps more is no other.
                if candidate.going.len() == 2 {
                    candidate.going.remove(0);
                }
                candidate.going.push((ask, true));
            }
        }
    }

    fn holders(&self) -> usize {
        self.candidates.iter().filter(|one| one.lease.held_until(self.now()).is_some()).count()
    }

    /// The server does what a question asks.
    fn serve(&mut self, who: usize, ask: Ask) -> Answer {
        if self.value.is_some_and(|(.., at)| self.now >= at + KEPT) {
            self.value = None;
        }
        let me = (who, self.candidates[who].lives);
        let fits = match (ask, self.value) {
            (Ask::Claim, None) => true,
            (Ask::Renew(expected), Some((_, revision, _))) => expected == revision,
            _ => false,
        };
        if fits {
            self.revision += 1;
            self.value = Some((me, self.revision, self.now));
            return Answer::Written(self.revision);
        }
        match self.value {
            None => Answer::Nobodys,
            Some((writer, revision, _)) if writer == me => Answer::Ours(revision),
            Some(_) => Answer::Theirs,
        }
    }

    /// Every world that may come next.
    fn next(&self, times: Times) -> Vec<Self> {
        let mut worlds = Vec::new();
        let mut later = self.clone();
        later.now += 1;
        later.poll();
        worlds.push(later);
        for who in 0..2 {
            for index in 0..self.candidates[who].going.len() {
                let (ask, waited_for) = self.candidates[who].going[index];
                // It arrives now. One that never does stays where it is, and so does an answer that is lost.
                let mut served = self.clone();
                served.candidates[who].going.remove(index);
                let answer = served.serve(who, ask);
                if waited_for {
                    served.candidates[who].coming = Some(answer);
                }
                worlds.push(served);
            }
            if let Some(answer) = self.candidates[who].coming {
                let mut heard = self.clone();
                heard.candidates[who].coming = None;
                heard.candidates[who].lease.answered(answer, self.now());
                heard.poll();
                worlds.push(heard);
            }
            if self.deaths == 0 && self.candidates[who].lease.held_until(self.now()).is_some() {
                let mut dead = self.clone();
                dead.deaths += 1;
                let candidate = &mut dead.candidates[who];
                candidate.lives += 1;
                candidate.lease = Lease::new(times, self.now());
                candidate.coming = None;
                candidate.going.clear();
                worlds.push(dead);
            }
        }
        worlds
    }
}

/// What every course of events came to: how many worlds there were, the most holders at a time, and whether the lease went
/// from one candidate to the other.
struct Explored {
    worlds: usize,
    holders: usize,
    held: [bool; 2],
    revisions: u64,
}

fn explore(times: Times) -> Explored {
    let mut start = World::new(times);
    start.poll();
    let hashing = RandomState::new();
    let mut seen = HashSet::from([hashing.hash_one(&start)]);
    let mut open = vec![start];
    let mut explored = Explored { worlds: 0, holders: 0, held: [false; 2], revisions: 0 };
    while let Some(world) = open.pop() {
        explored.worlds += 1;
        explored.holders = explored.holders.max(world.holders());
        if explored.holders > 1 {
            break;
        }
        explored.revisions = explored.revisions.max(world.revision);
        for who in 0..2 {
            explored.held[who] |= world.candidates[who].lease.held_until(world.now()).is_some();
        }
        for next in world.next(times) {
            if next.now <= HORIZON && seen.insert(hashing.hash_one(&next)) {
                open.push(next);
            }
        }
    }
    explored
}

#[test]
fn in_no_course_of_events_are_there_two_holders() {
    let explored = explore(brisk(KEPT));
    assert_eq!(explored.holders, 1);
    assert!(explored.worlds > 10_000 && explored.revisions > 3, "{} worlds", explored.worlds);
    assert_eq!(explored.held, [true, true]);
}

#[test]
fn a_holder_who_counts_too_long_is_found_out() {
    // What the test above would say of a machine that counts wrong.
    assert_eq!(explore(brisk(KEPT + 2)).holders, 2);
}

#[test]
fn a_holder_who_gets_no_answer_stops_before_the_lease_ends() {
    let times = times(10);
    let mut lease = Lease::new(times, ticks(0));
    assert_eq!(lease.poll(ticks(0)), Step::Ask(Ask::Claim));
    lease.answered(Answer::Written(7), ticks(1));
    // Counted from the question, a margin earlier.
    assert_eq!(lease.held_until(ticks(8)), Some(ticks(9)));
    assert_eq!(lease.poll(ticks(1)), Step::Wait(ticks(2)));
    assert_eq!(lease.poll(ticks(2)), Step::Ask(Ask::Renew(7)));
    lease.answered(Answer::Unknown, ticks(3));
    assert_eq!(lease.poll(ticks(4)), Step::Ask(Ask::Renew(7)));
    // No answer: asked anew after a while, and never waiting past the end.
    assert_eq!(lease.poll(ticks(6)), Step::Ask(Ask::Renew(7)));
    assert_eq!(lease.poll(ticks(8)), Step::Ask(Ask::Renew(7)));
    assert_eq!(lease.poll(ticks(8)), Step::Wait(ticks(9)));
    assert_eq!((lease.poll(ticks(9)), lease.held_until(ticks(9))), (Step::Wait(ticks(10)), None));
}

#[test]
fn a_claim_whose_answer_was_lost_is_recognised_and_renewed() {
    let mut lease = Lease::new(times(10), ticks(0));
    assert_eq!(lease.poll(ticks(0)), Step::Ask(Ask::Claim));
    assert_eq!(lease.poll(ticks(2)), Step::Ask(Ask::Claim));
    lease.answered(Answer::Ours(3), ticks(2));
    assert_eq!(lease.held_until(ticks(2)), None);
    assert_eq!(lease.poll(ticks(2)), Step::Ask(Ask::Renew(3)));
    lease.answered(Answer::Written(4), ticks(2));
    assert_eq!((lease.held_until(ticks(2)), lease.revision()), (Some(ticks(11)), Some(4)));
}

#[test]
fn whoever_waits_asks_again_after_a_pause_and_takes_what_lapsed() {
    let mut lease = Lease::new(times(10), ticks(0));
    assert_eq!(lease.poll(ticks(0)), Step::Ask(Ask::Claim));
    lease.answered(Answer::Theirs, ticks(0));
    assert_eq!(lease.poll(ticks(0)), Step::Wait(ticks(1)));
    assert_eq!(lease.poll(ticks(1)), Step::Ask(Ask::Claim));
    lease.answered(Answer::Nobodys, ticks(1));
    assert_eq!(lease.poll(ticks(1)), Step::Ask(Ask::Claim));
    // A late word about nothing changes nothing.
    lease.answered(Answer::Written(1), ticks(1));
    lease.answered(Answer::Theirs, ticks(1));
    assert_eq!(lease.revision(), Some(1));
}

#[test]
fn a_holder_whose_value_is_gone_or_replaced_stops_at_once() {
    for answer in [Answer::Theirs, Answer::Nobodys] {
        let mut lease = Lease::new(times(10), ticks(0));
        lease.poll(ticks(0));
        lease.answered(Answer::Written(1), ticks(0));
        assert_eq!(lease.poll(ticks(2)), Step::Ask(Ask::Renew(1)));
        lease.answered(answer, ticks(2));
        assert_eq!(lease.held_until(ticks(2)), None, "{answer:?}");
    }
}
