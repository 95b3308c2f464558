//! Socket.IO 0.9 over a websocket, as a transport for [`event_core`].
//!
//! Three rooms are pure, and what they know of the wire was measured on `socket.io` 0.9.19 and on the official
//! clients of ftrack's event hub: [`packet`] is the codec, [`handshake`] the HTTP exchange that precedes the
//! websocket, [`session`] the client's state machine. [`WsTransport`] is the thin shell around them, and [`dial`] the
//! seam through which its bytes travel.
//!
//! ```
//! use transport_ws::packet::{Packet, PacketId};
//!
//! let packet = Packet::decode(r#"5:1+::{"name":"ftrack.event","args":[{"topic":"ftrack.update"}]}"#)?;
//! let Packet::Event { id, name, args, .. } = packet else { panic!("an event") };
//! assert_eq!((id, &*name, args), (Some(PacketId::with_data(1)), "ftrack.event", vec![r#"{"topic":"ftrack.update"}"#]));
//! # Ok::<(), transport_ws::packet::DecodeError>(())
//! ```

mod credentials;
pub mod dial;
mod errors;
pub mod handshake;
pub mod packet;
mod rising;
pub mod session;
mod shell;
mod transport;

pub use credentials::{HandshakeCredentials, SecretHeaders};
pub use dial::{Dialer, Endpoint, TcpDialer, Tls, TlsBackend};
pub use transport::{WsTransport, WsTransportBuilder};
