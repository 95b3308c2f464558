use std::collections::VecDeque;
use std::task::Context;

use super::*;

fn turn(ticket: &Ticket) -> Turn {
    ticket.gate.state.lock().0.turn(ticket.level)
}

#[test]
fn smaller_numbers_finish_first() {
    let gate = Gate::new([100, 50, 100]);
    let (first, second) = (gate.ticket(50), gate.ticket(100));
    assert_eq!((turn(&first), turn(&second)), (Turn::Start, Turn::Wait));
    first.finish();
    assert_eq!(turn(&second), Turn::Start);
}

#[test]
fn a_stop_reaches_larger_numbers_only() {
    let gate = Gate::new([1, 2, 2, 3]);
    let tickets = [gate.ticket(1), gate.ticket(2), gate.ticket(2), gate.ticket(3)];
    tickets[0].finish();
    assert!(tickets[1].stop());
    assert_eq!(turn(&tickets[2]), Turn::Start, "the same number is not affected");
    assert_eq!(turn(&tickets[3]), Turn::Skip);
}

#[test]
fn whoever_let_go_cannot_stop() {
    let gate = Gate::new([1, 2]);
    let (first, second) = (gate.ticket(1), gate.ticket(2));
    first.finish();
    assert!(!first.stop());
    assert_eq!(turn(&second), Turn::Start);
}

#[test]
fn a_dropped_ticket_is_finished_and_wakes_who_waits() {
    let gate = Gate::new([1, 2]);
    let (first, second) = (gate.ticket(1), gate.ticket(2));
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(second.poll_turn(&mut cx), Poll::Pending);
    assert_eq!(gate.state.lock().1.len(), 1);
    drop(first);
    assert!(gate.state.lock().1.is_empty(), "woken");
    assert_eq!(second.poll_turn(&mut cx), Poll::Ready(true));
}

/// A random schedule of lanes, handlers, stops, overflows, unsubscribes and nested requests over real gates.
struct Model {
    seed: u64,
    lanes: Vec<ModelLane>,
    /// For each event: per lane, whether it has finished with it (`None`: did not get it).
    finished: Vec<Vec<Option<bool>>>,
    /// For each event: the smallest priority number that stopped it.
    stopped: Vec<Option<i32>>,
    answered: Vec<bool>,
    with_requests: bool,
    started: usize,
    timeouts: usize,
}

struct ModelLane {
    priority: i32,
    concurrency: usize,
    capacity: usize,
    open: bool,
    queue: VecDeque<(usize, Option<Arc<Ticket>>)>,
    waiting: Vec<(usize, Option<Arc<Ticket>>)>,
    running: Vec<Handling>,
}

struct Handling {
    event: usize,
    ticket: Option<Arc<Ticket>>,
    asks: Option<usize>,
}

#[derive(Clone, Copy)]
enum Step {
    Dispatch,
    Take(usize),
    Turn(usize, usize),
    Act(usize, usize),
    Unsubscribe(usize),
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut model = Self {
            seed: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            lanes: Vec::new(),
            finished: Vec::new(),
            stopped: Vec::new(),
            answered: Vec::new(),
            with_requests: seed.is_multiple_of(2),
            started: 0,
            timeouts: 0,
        };
        for _ in 0..2 + model.below(4) {
            let priority = i32::try_from(model.below(3)).unwrap();
            let (concurrency, capacity) = (1 + model.below(3), 1 + model.below(4));
            model.lanes.push(ModelLane {
                priority,
                concurrency,
                capacity,
                open: true,
                queue: VecDeque::new(),
                waiting: Vec::new(),
                running: Vec::new(),
            });
        }
        model
    }

    fn below(&mut self, bound: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        usize::try_from(self.seed % u64::try_from(bound).unwrap()).unwrap()
    }

    fn dispatch(&mut self) -> usize {
        let event = self.finished.len();
        let mut marks = vec![None; self.lanes.len()];
        let mut chosen: Vec<usize> =
            (0..self.lanes.len()).filter(|lane| self.lanes[*lane].open && self.below(4) > 0).collect();
        chosen.sort_by_key(|lane| self.lanes[*lane].priority);
        for lane in &chosen {
            marks[*lane] = Some(false);
        }
        self.finished.push(marks);
        self.stopped.push(None);
        self.answered.push(false);
        let several =
            chosen.windows(2).any(|pair| self.lanes[pair[0]].priority != self.lanes[pair[1]].priority);
        let gate = several.then(|| Gate::new(chosen.iter().map(|lane| self.lanes[*lane].priority)));
        let tickets: Vec<_> = chosen
            .iter()
            .map(|lane| gate.as_ref().map(|gate| gate.ticket(self.lanes[*lane].priority)))
            .collect();
        for (lane, ticket) in chosen.into_iter().zip(tickets) {
            if self.lanes[lane].queue.len() == self.lanes[lane].capacity {
                // Overflow, either policy.
                if self.below(2) == 0 {
                    self.finished[event][lane] = Some(true);
                    continue;
                }
                if let Some((oldest, _ticket)) = self.lanes[lane].queue.pop_front() {
                    self.finished[oldest][lane] = Some(true);
                }
            }
            self.lanes[lane].queue.push_back((event, ticket));
        }
        event
    }

    fn possible(&mut self, dispatches: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        if dispatches > 0 {
            steps.push(Step::Dispatch);
        }
        for (number, lane) in self.lanes.iter().enumerate() {
            let busy = lane.running.len() + lane.waiting.len();
            if busy < lane.concurrency && !lane.queue.is_empty() {
                steps.push(Step::Take(number));
            }
            for (at, (_, ticket)) in lane.waiting.iter().enumerate() {
                if ticket.as_ref().is_none_or(|ticket| turn(ticket) != Turn::Wait) {
                    steps.push(Step::Turn(number, at));
                }
            }
            for (at, handling) in lane.running.iter().enumerate() {
                if handling.asks.is_none_or(|asked| self.answered[asked]) {
                    steps.push(Step::Act(number, at));
                }
            }
        }
        if !steps.is_empty() && self.below(200) == 0 {
            let lane = self.below(self.lanes.len());
            steps.push(Step::Unsubscribe(lane));
        }
        steps
    }

    fn start_or_skip(&mut self, lane: usize, at: usize) {
        let (event, ticket) = self.lanes[lane].waiting.remove(at);
        let priority = self.lanes[lane].priority;
        let stopped = self.stopped[event].is_some_and(|by| by < priority);
        let starts = ticket.as_ref().is_none_or(|ticket| turn(ticket) == Turn::Start);
        assert_eq!(starts, !stopped, "stopped by {:?}, this is {priority}", self.stopped[event]);
        if !starts {
            self.finished[event][lane] = Some(true);
            return;
        }
        for (other, done) in self.finished[event].iter().enumerate() {
            let before = self.lanes[other].priority < priority;
            assert!(!(before && *done == Some(false)), "lane {other} of a smaller number has not finished");
        }
        self.started += 1;
        self.lanes[lane].running.push(Handling { event, ticket, asks: None });
    }

    fn act(&mut self, lane: usize, at: usize, budget: &mut usize) {
        let event = self.lanes[lane].running[at].event;
        match self.below(10) {
            0..=1 => {
                if let Some(ticket) = self.lanes[lane].running[at].ticket.clone()
                    && ticket.stop()
                {
                    let by = self.lanes[lane].priority;
                    self.stopped[event] = Some(self.stopped[event].map_or(by, |before| before.min(by)));
                }
            }
            2 => self.release(lane, at),
            3..=4 if self.with_requests && *budget > 0 && self.lanes[lane].running[at].asks.is_none() => {
                *budget -= 1;
                // A request gives up the gate before it waits.
                self.release(lane, at);
                let asked = self.dispatch();
                self.lanes[lane].running[at].asks = Some(asked);
            }
            _ => self.finish(lane, at),
        }
    }

    fn release(&mut self, lane: usize, at: usize) {
        let handling = &self.lanes[lane].running[at];
        if let Some(ticket) = &handling.ticket {
            ticket.finish();
            self.finished[handling.event][lane] = Some(true);
        }
    }

    /// Returned, or panicked: for the gate it is the same.
    fn finish(&mut self, lane: usize, at: usize) {
        let handling = self.lanes[lane].running.remove(at);
        self.answered[handling.event] = true;
        self.finished[handling.event][lane] = Some(true);
        drop(handling.ticket);
    }

    /// Nothing can move: only requests that time out may be the reason.
    fn time_out_one(&mut self) -> bool {
        for lane in 0..self.lanes.len() {
            if let Some(at) = self.lanes[lane].running.iter().position(|handling| handling.asks.is_some()) {
                self.timeouts += 1;
                self.finish(lane, at);
                return true;
            }
        }
        false
    }

    fn run(mut self) -> (usize, usize) {
        let (mut dispatches, mut requests) = (1 + self.below(8), 6);
        loop {
            let steps = self.possible(dispatches);
            if steps.is_empty() {
                let idle = self
                    .lanes
                    .iter()
                    .all(|lane| lane.queue.is_empty() && lane.running.is_empty() && lane.waiting.is_empty());
                if idle {
                    break;
                }
                assert!(self.with_requests, "stuck although nobody asked anything");
                assert!(self.time_out_one(), "stuck, and no request explains it");
                continue;
            }
            let step = steps[self.below(steps.len())];
            match step {
                Step::Dispatch => {
                    dispatches -= 1;
                    self.dispatch();
                }
                Step::Take(lane) => {
                    let taken = self.lanes[lane].queue.pop_front();
                    self.lanes[lane].waiting.extend(taken);
                }
                Step::Turn(lane, at) => self.start_or_skip(lane, at),
                Step::Act(lane, at) => self.act(lane, at, &mut requests),
                Step::Unsubscribe(lane) => {
                    self.lanes[lane].open = false;
                    for (event, _ticket) in std::mem::take(&mut self.lanes[lane].queue) {
                        self.finished[event][lane] = Some(true);
                    }
                }
            }
        }
        (self.started, self.timeouts)
    }
}

#[test]
fn ten_thousand_random_schedules_keep_the_rules_and_never_get_stuck() {
    let (mut started, mut timeouts) = (0, 0);
    for seed in 0..10_000 {
        let run = std::panic::catch_unwind(|| Model::new(seed).run());
        let (some, late) = run.unwrap_or_else(|_| panic!("schedule {seed} failed; see above"));
        started += some;
        timeouts += late;
    }
    println!("10,000 schedules: {started} handlers started, {timeouts} requests timed out");
    assert!(started > 50_000 && timeouts > 0, "the schedules exercise what they are meant to");
}
