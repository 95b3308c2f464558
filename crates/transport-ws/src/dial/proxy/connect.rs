//! HTTP `CONNECT`. Pure.

use std::fmt::Write as _;

use data_encoding::BASE64;
use event_core::Secret;

use super::refusal::Refusal;
use super::{Exchange, Step, Target};

/// The longest head of an answer, in bytes, interim answers included.
const LONGEST_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// One `CONNECT`, and its answer as its bytes come in.
pub(super) struct Connect {
    request: Vec<u8>,
    head: Vec<u8>,
    /// Bytes of interim answers.
    before: usize,
}

impl Connect {
    pub(super) fn new(target: &Target<'_>, login: Option<(&Secret, &Secret)>) -> Self {
        let place = match target {
            Target::Address(std::net::IpAddr::V6(address), port) => format!("[{address}]:{port}"),
            Target::Address(address, port) => format!("{address}:{port}"),
            Target::Host(host, port) => format!("{host}:{port}"),
        };
        let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
        if let Some((user, password)) = login {
            let pair = Secret::new(format!("{}:{}", user.expose(), password.expose()));
            let encoded = Secret::new(BASE64.encode(pair.expose().as_bytes()));
            _ = write!(request, "Proxy-Authorization: Basic {}\r\n", encoded.expose());
        }
        request.push_str("\r\n");
        Self { request: request.into_bytes(), head: Vec::new(), before: 0 }
    }
}

impl Exchange for Connect {
    fn greeting(&self) -> Vec<u8> {
        self.request.clone()
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        self.head.extend_from_slice(bytes);
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            let (length, status) = match response.parse(&self.head) {
                Ok(httparse::Status::Complete(length)) => (length, response.code.unwrap_or(0)),
                Ok(httparse::Status::Partial) if self.before + self.head.len() >= LONGEST_HEAD => {
                    return Err(Refusal::TooLarge);
                }
                Ok(httparse::Status::Partial) => return Ok(Step::More),
                Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
                Err(_) => return Err(Refusal::Malformed("HTTP")),
            };
            match status {
                // Nobody speaks before the client does, neither TLS nor HTTP: what follows is not the server's.
                200..=299 if length < self.head.len() => {
                    return Err(Refusal::Malformed("the end of an HTTP head, as bytes follow it"));
                }
                200..=299 => return Ok(Step::Done),
                407 => return Err(Refusal::Credentials),
                100 | 102..=199 => {
                    self.before += length;
                    self.head.drain(..length);
                }
                _ => return Err(Refusal::Status(status)),
            }
        }
    }
}
