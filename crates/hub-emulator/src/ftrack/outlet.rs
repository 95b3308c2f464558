//! The queue of one connection, bounded in packets and in bytes, and the socket that it is written to.
//!
//! Whoever finds the socket free may write: a reader that has just filled queues, the task that makes large
//! [rounds](super::rounds), or the connection's own writer, which alone can wait for the socket. Whoever has it looks at
//! the queue again before giving it back, so that nothing stays behind and the order is the queue's.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::frame::Frame;
use crate::net::WriteHalf;

/// Frames handed to the operating system in one call.
const AT_ONCE: usize = 64;
/// So often in a row, while others queue more; then it is the writer's turn.
const CALLS: usize = 16;
/// The room for frames that an empty queue keeps.
const KEPT: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Outlet {
    queue: Mutex<Queue>,
    /// The most packets in the queue.
    packets: usize,
    writer: Notify,
}

#[derive(Debug)]
struct Queue {
    frames: Frames,
    /// Of frames that are queued or being written.
    bytes: usize,
    /// How much of the first frame is written.
    begun: usize,
    socket: Hand,
    /// Anybody may write, not the writer alone.
    open_to_all: bool,
    /// It is on a list, and will be sent from.
    listed: bool,
    stage: Stage,
}

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    /// Nothing more will be queued.
    Ended,
    /// Nothing more can be sent.
    Over,
}

/// Frames in order. The usual one is at hand, not at one more remove.
#[derive(Debug, Default)]
struct Frames {
    first: Option<Frame>,
    /// Nothing, if there is no first one.
    more: VecDeque<Frame>,
}

/// Who has the socket.
#[derive(Debug)]
enum Hand {
    /// Nobody.
    Free(WriteHalf),
    /// Nobody, and only the writer may take it.
    Writers(WriteHalf),
    /// Somebody, who will look at the queue again.
    Taken,
}

/// What the writer gets.
#[derive(Debug)]
pub(super) enum Take {
    /// The socket: there is something to write.
    Socket(WriteHalf),
    /// There is nothing to write, or somebody else writes it.
    Nothing,
    /// There will be nothing to write any more, or it cannot be written.
    End,
}

impl Outlet {
    /// An empty queue for so many packets.
    pub(super) fn new(socket: WriteHalf, packets: usize) -> Self {
        let queue = Queue {
            open_to_all: socket.can_write_now(),
            frames: Frames::default(),
            bytes: 0,
            begun: 0,
            socket: Hand::Free(socket),
            listed: false,
            stage: Stage::Open,
        };
        Self { queue: Mutex::new(queue), packets, writer: Notify::new() }
    }

    /// The bytes that wait to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queue.lock().bytes
    }

    /// Queues a frame unless there would be more than `limit` bytes; an empty queue takes anything. Says whether there
    /// was room. What somebody has to [send](Outlet::send) is put on the list.
    pub(super) fn push(self: &Arc<Self>, frame: Frame, limit: usize, list: &mut Vec<Arc<Self>>) -> bool {
        let mut queue = self.queue.lock();
        if !queue.add(frame, limit, self.packets) {
            return false;
        }
        match queue.socket {
            Hand::Free(_) if !queue.open_to_all => self.writer.notify_one(),
            Hand::Free(_) if !queue.listed => {
                queue.listed = true;
                list.push(Arc::clone(self));
            }
            _ => {}
        }
        true
    }

    /// Queues a last frame. Says whether there was room.
    pub(super) fn end_with(&self, frame: Frame) -> bool {
        let room = self.queue.lock().add(frame, usize::MAX, self.packets);
        self.end();
        room
    }

    /// Nothing more will be queued: the writer ends when what is there is written.
    pub(super) fn end(&self) {
        self.queue.lock().reach(Stage::Ended);
        self.writer.notify_one();
    }

    /// Only the writer may write from now on: the valve is to be turned.
    pub(super) fn leave_to_writer(&self) {
        self.queue.lock().open_to_all = false;
        self.writer.notify_one();
    }

    /// What waits is not sent.
    pub(super) fn forget(&self) {
        self.queue.lock().forget();
    }

    /// Writes what waits as far as the operating system takes it at once; the rest is for the writer to do. `batch` is
    /// empty, before and after.
    pub(super) fn send(&self, batch: &mut Vec<Frame>) {
        let mut queue = self.queue.lock();
        queue.listed = false;
        let socket = match mem::replace(&mut queue.socket, Hand::Taken) {
            Hand::Free(socket) if queue.open_to_all => socket,
            other => {
                queue.socket = other;
                return;
            }
        };
        for _ in 0..CALLS {
            if queue.is_over() || !queue.open_to_all || queue.frames.is_empty() {
                break;
            }
            let begun = queue.next(batch);
            drop(queue);
            let written = write_now(&socket, batch, begun);
            queue = self.queue.lock();
            match written {
                Ok(written) => queue.count(batch, begun + written),
                Err(error) => {
                    queue.count(batch, begun);
                    if error.kind() != ErrorKind::WouldBlock {
                        queue.reach(Stage::Over);
                    }
                    queue.socket = Hand::Writers(socket);
                    return self.writer.notify_one();
                }
            }
        }
        if queue.give_back(socket) {
            self.writer.notify_one();
        }
    }
}

/// What the writer does.
impl Outlet {
    /// Resolves when the writer should look. Cancel-safe: a call is not lost.
    pub(super) async fn called(&self) {
        self.writer.notified().await;
    }

    /// The socket, if there is something to write and nobody else does it.
    pub(super) fn take(&self) -> Take {
        let mut queue = self.queue.lock();
        if queue.is_over() {
            return Take::End;
        }
        let empty = queue.frames.is_empty();
        match mem::replace(&mut queue.socket, Hand::Taken) {
            Hand::Taken => Take::Nothing,
            Hand::Free(socket) | Hand::Writers(socket) if !empty => Take::Socket(socket),
            Hand::Free(socket) | Hand::Writers(socket) => {
                queue.socket = Hand::Free(socket);
                if queue.stage >= Stage::Ended { Take::End } else { Take::Nothing }
            }
        }
    }

    /// The next frames, and how much of the first one is written already.
    pub(super) fn next(&self, batch: &mut Vec<Frame>) -> usize {
        self.queue.lock().next(batch)
    }

    /// All of a batch is written: packets of so many bytes. Takes the socket back if there is nothing more to write.
    pub(super) fn written(&self, bytes: usize, socket: &mut Option<WriteHalf>) {
        let mut queue = self.queue.lock();
        queue.bytes = queue.bytes.saturating_sub(bytes);
        if queue.frames.is_empty()
            && let Some(socket) = socket.take()
            && queue.give_back(socket)
        {
            self.writer.notify_one();
        }
    }

    /// Puts something before all that waits.
    pub(super) fn put_first(&self, frame: Frame) {
        let mut queue = self.queue.lock();
        queue.bytes += frame.len();
        let place = usize::from(queue.begun > 0);
        queue.frames.insert(place, frame);
    }

    /// From now on nothing is sent. Gives the socket, unless somebody has it, who calls the writer when done.
    pub(super) fn close(&self) -> Option<WriteHalf> {
        let mut queue = self.queue.lock();
        queue.reach(Stage::Over);
        queue.forget();
        match mem::replace(&mut queue.socket, Hand::Taken) {
            Hand::Free(socket) | Hand::Writers(socket) => Some(socket),
            Hand::Taken => None,
        }
    }
}

impl Queue {
    fn reach(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }

    fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    fn add(&mut self, frame: Frame, limit: usize, packets: usize) -> bool {
        let bytes = self.bytes.saturating_add(frame.len());
        let room = !self.is_over() && self.frames.len() < packets && (self.bytes == 0 || bytes <= limit);
        if room {
            self.bytes = bytes;
            self.frames.push_back(frame);
        }
        room
    }

    /// Takes some frames out; says how much of the first one is written.
    fn next(&mut self, batch: &mut Vec<Frame>) -> usize {
        self.frames.take(AT_ONCE, batch);
        mem::take(&mut self.begun)
    }

    /// So many bytes of a batch are written. What is not goes back.
    fn count(&mut self, batch: &mut Vec<Frame>, mut written: usize) {
        let mut done = 0;
        for frame in batch.iter().take_while(|frame| {
            let all = written >= frame.len();
            written -= if all { frame.len() } else { 0 };
            all
        }) {
            self.bytes = self.bytes.saturating_sub(frame.len());
            done += 1;
        }
        if done < batch.len() && !self.is_over() {
            self.begun = written;
            batch.drain(done..).rev().for_each(|frame| self.frames.insert(0, frame));
        }
        batch.clear();
    }

    /// Nobody writes any more. Says whether the writer must know.
    fn give_back(&mut self, socket: WriteHalf) -> bool {
        self.socket = Hand::Free(socket);
        self.stage >= Stage::Ended || !self.frames.is_empty()
    }

    fn forget(&mut self) {
        // A frame that is begun would have to be ended: whoever forgets ends the connection.
        self.frames.clear();
        (self.bytes, self.begun) = (0, 0);
    }
}

impl Frames {
    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    fn push_back(&mut self, frame: Frame) {
        match self.first {
            None => self.first = Some(frame),
            Some(_) => self.more.push_back(frame),
        }
    }

    fn insert(&mut self, place: usize, frame: Frame) {
        if place > 0 && self.first.is_some() {
            self.more.insert(place - 1, frame);
        } else if let Some(second) = self.first.replace(frame) {
            self.more.push_front(second);
        }
    }

    /// Moves the first ones, at most so many.
    fn take(&mut self, most: usize, into: &mut Vec<Frame>) {
        into.extend(self.first.take());
        if self.more.is_empty() {
            return;
        }
        let count = self.more.len().min(most.saturating_sub(1));
        into.extend(self.more.drain(..count));
        self.first = self.more.pop_front();
        if self.more.is_empty() && self.more.capacity() > KEPT {
            self.more = VecDeque::new();
        }
    }

    fn clear(&mut self) {
        self.first = None;
        self.more = VecDeque::new();
    }
}

/// Writes a batch, of whose first frame so much is written.
fn write_now(socket: &WriteHalf, batch: &[Frame], begun: usize) -> io::Result<usize> {
    if let [only] = batch {
        return socket.write_now(&[IoSlice::new(only.rest(begun))]);
    }
    let mut parts = [IoSlice::new(&[]); AT_ONCE];
    for (n, (place, frame)) in parts.iter_mut().zip(batch).enumerate() {
        *place = IoSlice::new(frame.rest(if n == 0 { begun } else { 0 }));
    }
    socket.write_now(&parts[..batch.len().min(AT_ONCE)])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::net::Socket;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn frame(letter: u8, bytes: usize) -> Frame {
        Frame::raw(vec![letter; bytes])
    }

    fn letters(frames: &[Frame]) -> Vec<u8> {
        frames.iter().map(|frame| frame.rest(0)[0]).collect()
    }

    async fn outlet(packets: usize) -> (Arc<Outlet>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, socket) = Socket::over_tcp(listener.accept().await.unwrap().0).into_split();
        (Arc::new(Outlet::new(socket, packets)), client)
    }

    #[test]
    fn frames_keep_their_order_however_they_are_put_in_and_taken() {
        let mut frames = Frames::default();
        b"bcd".iter().for_each(|letter| frames.push_back(frame(*letter, 1)));
        frames.insert(0, frame(b'a', 1));
        frames.insert(1, frame(b'x', 1));
        let mut taken = Vec::new();
        frames.take(3, &mut taken);
        assert_eq!((letters(&taken), frames.len()), (b"axb".to_vec(), 2));
        frames.push_back(frame(b'e', 1));
        frames.take(9, &mut taken);
        assert_eq!((letters(&taken), frames.is_empty()), (b"axbcde".to_vec(), true));
        frames.insert(1, frame(b'f', 1));
        assert_eq!((frames.len(), frames.first.is_some()), (1, true));
    }

    #[tokio::test]
    async fn what_the_system_does_not_take_is_the_writers_and_the_order_stays() {
        const EACH: usize = 300_000;
        let (outlet, mut client) = outlet(1_000).await;
        let (mut list, mut batch) = (Vec::new(), Vec::new());
        let mut pushed = Vec::new();
        while !matches!(outlet.queue.lock().socket, Hand::Writers(_)) {
            let letter = b'a' + u8::try_from(pushed.len() % 26).unwrap();
            assert!(pushed.len() < 1_000, "300 MB did not fill the socket");
            assert!(outlet.push(frame(letter, EACH), usize::MAX, &mut list));
            assert_eq!(list.drain(..).count(), 1);
            outlet.send(&mut batch);
            pushed.push(letter);
        }
        assert!(batch.is_empty() && outlet.queued_bytes() > 0);
        outlet.put_first(frame(b'!', 1));
        assert!(outlet.push(frame(b'z', 1), usize::MAX, &mut list));
        assert!(list.is_empty(), "the writer has been called");
        outlet.send(&mut batch);

        let reading = async {
            let mut read = vec![0; pushed.len() * EACH + 2];
            client.read_exact(&mut read).await.unwrap();
            read
        };
        let writing = async {
            outlet.called().await;
            let Take::Socket(socket) = outlet.take() else { panic!("there is something to write") };
            let mut socket = Some(socket);
            while let Some(half) = &mut socket {
                let begun = outlet.next(&mut batch);
                let mut bytes = 0;
                for (n, frame) in batch.drain(..).enumerate() {
                    bytes += frame.len();
                    let rest = frame.rest(if n == 0 { begun } else { 0 });
                    tokio::io::AsyncWriteExt::write_all(half, rest).await.unwrap();
                }
                outlet.written(bytes, &mut socket);
            }
        };
        let both = async { tokio::join!(reading, writing).0 };
        let read = tokio::time::timeout(PATIENCE, both).await.expect("all of it arrives");
        let mut seen = read.iter().copied();
        let (begun, whole) = pushed.split_at(pushed.len() - 1);
        for letter in begun {
            assert!(seen.by_ref().take(EACH).all(|byte| byte == *letter));
        }
        let rest: Vec<u8> = seen.collect();
        let end = [&vec![whole[0]; EACH][..], b"!z"].concat();
        assert!(rest == end || rest == [b"!", &vec![whole[0]; EACH][..], b"z"].concat());
        assert_eq!(outlet.queued_bytes(), 0);
    }
}
