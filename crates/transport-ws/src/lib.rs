//! Socket.IO 0.9 over a websocket.
//!
//! The pure part: [`packet`] is the codec, [`handshake`] the HTTP exchange that precedes the websocket,
//! [`session`] the client's state machine. None of them opens a socket or reads a clock; what they know of the
//! wire was measured on `socket.io` 0.9.19 and on the official clients of ftrack's event hub.

pub mod handshake;
pub mod packet;
pub mod session;
