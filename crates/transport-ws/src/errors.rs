//! What failures of the wire mean to the core: kind, advice, words.

use event_core::{Error, ErrorKind, Retry};

use crate::dial::Endpoint;
use crate::handshake::HandshakeError;
use crate::packet::{Advice, Reason};
use crate::session::{CloseReason, Problem};
use crate::transport::WsError;

const OP: &str = "connect";

/// A handshake that failed. `renews` says that there may be other credentials.
pub(crate) fn handshake(endpoint: &Endpoint, cause: HandshakeError, renews: bool) -> Error {
    let (kind, retry) = match &cause {
        HandshakeError::Unauthorized { .. } => (ErrorKind::Unauthenticated, refused(renews)),
        HandshakeError::InvalidRequest(_) => (ErrorKind::InvalidInput, Retry::Never),
        HandshakeError::Redirect { .. } => (ErrorKind::InvalidUrl, Retry::Never),
        HandshakeError::NotFound | HandshakeError::WrongProtocolVersion | HandshakeError::NoWebsocket => {
            (ErrorKind::UnsupportedTransport, Retry::Never)
        }
        // A server that is overloaded or being restarted.
        HandshakeError::Status(429 | 500..) | HandshakeError::Truncated => {
            (ErrorKind::Unreachable, Retry::Backoff)
        }
        _ => (ErrorKind::Protocol, Retry::Never),
    };
    Error::new(kind, OP, format!("{endpoint}: {cause}")).with_retry(retry).with_source(cause)
}

/// A websocket that did not come to be.
pub(crate) fn upgrade(endpoint: &Endpoint, cause: &WsError) -> Error {
    // The cause is told in words, without the request, whose path holds the session id.
    match cause {
        WsError::Io(io) => {
            let message = format!("{endpoint} broke off while the websocket was opened: {io}");
            Error::new(ErrorKind::Unreachable, OP, message)
        }
        WsError::Http(response) => {
            let status = response.status();
            let message = format!(
                "{endpoint} answered HTTP {status} instead of opening a websocket; a proxy on the way may not let \
                 websockets pass"
            );
            let retry = if status.is_server_error() { Retry::Backoff } else { Retry::Never };
            Error::new(ErrorKind::UnsupportedTransport, OP, message).with_retry(retry)
        }
        _ => {
            let message =
                format!("{endpoint} did not open a websocket by the rules; is it a Socket.IO 0.9 server?");
            Error::new(ErrorKind::UnsupportedTransport, OP, message)
        }
    }
}

/// What to do about refused credentials.
fn refused(renews: bool) -> Retry {
    if renews { Retry::AfterReauth } else { Retry::Never }
}

/// A session that ended; `None` when the caller asked for it.
pub(crate) fn closed(reason: CloseReason, renews: bool) -> Option<Error> {
    let (kind, retry) = match reason {
        CloseReason::Local => return None,
        CloseReason::ServerError { reason: Some(Reason::Unauthorized), .. } => {
            (ErrorKind::Unauthenticated, refused(renews))
        }
        CloseReason::ServerError { advice: Some(Advice::Reconnect), .. } => {
            (ErrorKind::Disconnected, Retry::Backoff)
        }
        CloseReason::ServerError { reason: Some(Reason::TransportNotSupported), .. } => {
            (ErrorKind::UnsupportedTransport, Retry::Never)
        }
        CloseReason::FrameTooLarge => (ErrorKind::TooLarge, Retry::Backoff),
        CloseReason::BrokenFraming => (ErrorKind::Protocol, Retry::Backoff),
        CloseReason::ConnectTimeout | CloseReason::HeartbeatTimeout => (ErrorKind::Timeout, Retry::Backoff),
        _ => (ErrorKind::Disconnected, Retry::Backoff),
    };
    Some(Error::new(kind, "receive", reason.to_string()).with_retry(retry))
}

/// Something the server did wrong that the session survives.
pub(crate) fn problem(problem: Problem) -> Error {
    let error = Error::new(ErrorKind::Protocol, "receive", problem.to_string());
    match problem {
        Problem::MalformedPacket(cause) => error.with_source(cause),
        _ => error,
    }
}
