//! What failures mean to the core: kind, advice, words.

use async_nats::jetstream::ErrorCode;
use async_nats::{ConnectError, ConnectErrorKind};
use event_core::network::CertificateFault;
use event_core::{Error, ErrorKind, Retry};

use crate::address::Address;

/// A server that was not reached, or did not let us in.
pub(crate) fn connect(address: &Address, cause: &ConnectError) -> Error {
    const OP: &str = "connect";
    // Told in words: what the library knows of an attempt is not for other eyes.
    let words = words(cause);
    let error = |kind, what: &str| Error::new(kind, OP, format!("{address}: {what}"));
    match cause.kind() {
        ConnectErrorKind::AuthorizationViolation => error(
            ErrorKind::Unauthenticated,
            "the server refuses these credentials; see the users in its configuration",
        ),
        ConnectErrorKind::Authentication => error(
            ErrorKind::InvalidCredentials,
            "the server's challenge cannot be signed; the seed must be that of a user, SU..",
        ),
        ConnectErrorKind::Dns => {
            error(ErrorKind::Unreachable, &format!("the name is not found ({words}); check the address"))
        }
        ConnectErrorKind::TimedOut => error(
            ErrorKind::Timeout,
            "no answer in time; is this the address of a NATS server, and does a firewall let it through?",
        ),
        _ if words.contains("authorization violation") || words.contains("authentication") => error(
            ErrorKind::Unauthenticated,
            "the server refuses these credentials; see the users in its configuration",
        ),
        _ => transport_failure(address, &words, OP),
    }
}

fn transport_failure(address: &Address, words: &str, op: &'static str) -> Error {
    let error = |kind, what: &str| Error::new(kind, op, format!("{address}: {what}"));
    if let Some(fault) = CertificateFault::in_words(words) {
        let hint =
            if address.tls { "" } else { "; the server wants TLS, so write tls:// in front of its address" };
        return error(ErrorKind::Tls, &format!("no TLS: {fault}; {}{hint}", fault.advice()))
            .with_source(fault);
    }
    if words.contains("invalid peer certificate") || words.contains("certificate") {
        let hint =
            if address.tls { "" } else { "; the server wants TLS, so write tls:// in front of its address" };
        return error(ErrorKind::Tls, &format!("no TLS: {words}{hint}"));
    }
    if words.contains("received corrupt message") || words.contains("alert") {
        return error(ErrorKind::Tls, &format!("no TLS: {words}; does the server speak it on this port?"));
    }
    let odd = words.contains("expected info") && !words.contains("got nothing");
    if odd || words.contains("invalid server operation") {
        return error(
            ErrorKind::UnsupportedTransport,
            "something answers that is no NATS server; check the port",
        );
    }
    error(
        ErrorKind::Unreachable,
        &format!("no connection ({words}); is nats-server running there, and is the port right?"),
    )
}

/// An error and its causes, in lower case.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words.to_lowercase()
}

/// A connection that is over. `said` is the last error that the server told.
pub(crate) fn disconnected(peer: &str, said: Option<&str>) -> Error {
    let reason = said.map_or_else(String::new, |said| format!("; the server said: {said}"));
    Error::new(ErrorKind::Disconnected, "receive", format!("the connection to {peer} ended{reason}"))
}

/// What JetStream answered instead of what it was asked for.
pub(crate) fn jetstream(op: &'static str, what: &str, code: u64, description: &str) -> Error {
    let is = |known: ErrorCode| known.0 == code;
    let (kind, retry, advice) = if is(ErrorCode::JETSTREAM_NOT_ENABLED) {
        (ErrorKind::Unsupported, Retry::Never, "start nats-server with JetStream (-js), or use core NATS")
    } else if is(ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT) {
        (
            ErrorKind::Unsupported,
            Retry::Never,
            "enable JetStream for this account in the server's configuration",
        )
    } else if is(ErrorCode::STREAM_NOT_FOUND) {
        (ErrorKind::NotFound, Retry::Never, "create the stream, or have it created with JetStream::create")
    } else if is(ErrorCode::CONSUMER_NOT_FOUND) {
        (ErrorKind::NotFound, Retry::Never, "subscribe again, which creates the consumer anew")
    } else if is(ErrorCode::MAXIMUM_CONSUMERS_LIMIT) {
        let advice = "raise max_consumers of the stream or the account, or delete consumers that nobody uses";
        (ErrorKind::Full, Retry::Never, advice)
    } else if is(ErrorCode::MAXIMUM_STREAMS_LIMIT)
        || is(ErrorCode::STORAGE_RESOURCES_EXCEEDED)
        || is(ErrorCode::MEMORY_RESOURCES_EXCEEDED)
        || is(ErrorCode::INSUFFICIENT_RESOURCES)
        || is(ErrorCode::STREAM_STORE_FAILED)
    {
        (ErrorKind::Full, Retry::Backoff, "give JetStream more room, or let the stream keep less")
    } else if is(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM) {
        (ErrorKind::TooLarge, Retry::Never, "raise max_msg_size of the stream, or send less")
    } else if is(ErrorCode::CLUSTER_NOT_AVAILABLE)
        || is(ErrorCode::CLUSTER_NOT_LEADER)
        || is(ErrorCode::CLUSTER_NOT_ACTIVE)
        || is(ErrorCode::STREAM_OFFLINE)
        || is(ErrorCode::CONSUMER_OFFLINE)
    {
        (ErrorKind::Unreachable, Retry::Backoff, "the cluster has no leader at the moment; it passes")
    } else {
        (ErrorKind::Refused, Retry::Never, "compare the settings with those of the stream and its consumers")
    };
    let message = format!("JetStream refuses {what}: {description} (error {code}); {advice}");
    Error::new(kind, op, message).with_retry(retry)
}

/// JetStream's API did not answer. `offered` says whether the server has it.
pub(crate) fn no_jetstream(op: &'static str, peer: &str, offered: bool) -> Error {
    if offered {
        let message =
            format!("JetStream does not answer at {peer}; a cluster without a majority does not, either");
        return Error::new(ErrorKind::Unreachable, op, message).with_retry(Retry::Backoff);
    }
    let message = format!(
        "{peer} has no JetStream; start nats-server with it (-js) and enable it for this account, or use core NATS"
    );
    Error::new(ErrorKind::Unsupported, op, message).with_retry(Retry::Never)
}

/// The server does not let this user publish or subscribe there.
pub(crate) fn denied(op: &'static str, subject: &str) -> Error {
    let message = format!("the server does not permit it on \"{subject}\"; see the permissions of this user");
    Error::new(ErrorKind::PermissionDenied, op, message)
}

/// An event that is larger than what is carried.
pub(crate) fn too_large(bytes: usize, limit: usize, server: usize) -> Error {
    let message = if limit < server {
        format!(
            "the event has {bytes} bytes, and {limit} are carried; raise max_payload of the transport, or send less"
        )
    } else {
        format!(
            "the event has {bytes} bytes, and the server takes {server} with the headers; raise its max_payload, or send less"
        )
    };
    Error::new(ErrorKind::TooLarge, "send", message)
}

/// Nothing can be done on a link that is over.
pub(crate) fn over(op: &'static str) -> Error {
    Error::new(ErrorKind::NotConnected, op, "the link to the server is closed")
}
