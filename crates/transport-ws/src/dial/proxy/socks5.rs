//! SOCKS5 (RFC 1928) with user and password (RFC 1929). Pure.

use std::net::IpAddr;

use event_core::Secret;

use super::refusal::Refusal;
use super::{Exchange, Step, Target};

const VERSION: u8 = 5;
const LOGIN_VERSION: u8 = 1;
const NO_LOGIN: u8 = 0;
const BY_LOGIN: u8 = 2;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// The exchange as its bytes come in.
pub(super) struct Socks5 {
    state: State,
    login: Option<Vec<u8>>,
    request: Vec<u8>,
    came: Vec<u8>,
}

enum State {
    Method,
    Login,
    Reply,
}

impl Socks5 {
    pub(super) fn new(target: &Target<'_>, login: Option<(&Secret, &Secret)>) -> Result<Self, Refusal> {
        let mut request = vec![VERSION, CONNECT, 0];
        let port = match target {
            Target::Address(IpAddr::V4(address), port) => {
                request.push(IPV4);
                request.extend(address.octets());
                port
            }
            Target::Address(IpAddr::V6(address), port) => {
                request.push(IPV6);
                request.extend(address.octets());
                port
            }
            Target::Host(host, port) => {
                request.push(NAME);
                field(&mut request, host)?;
                port
            }
        };
        request.extend(port.to_be_bytes());
        let login = login
            .map(|(user, password)| {
                let mut message = vec![LOGIN_VERSION];
                field(&mut message, user.expose())?;
                field(&mut message, password.expose())?;
                Ok(message)
            })
            .transpose()?;
        Ok(Self { state: State::Method, login, request, came: Vec::new() })
    }

    /// The first bytes, once there are so many.
    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        (self.came.len() >= count).then(|| self.came.drain(..count).collect())
    }

    /// The next message is as long as its own bytes say: the whole of it, once it is there.
    fn reply(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let address = match self.came.get(3) {
            None => return Ok(None),
            Some(&IPV4) => 4,
            Some(&IPV6) => 16,
            Some(&NAME) => match self.came.get(4) {
                None => return Ok(None),
                Some(&length) => 1 + usize::from(length),
            },
            Some(_) => return Err(malformed()),
        };
        Ok(self.take(4 + address + 2))
    }
}

/// A text of at most 255 bytes, its length in front.
fn field(message: &mut Vec<u8>, text: &str) -> Result<(), Refusal> {
    message.push(u8::try_from(text.len()).map_err(|_| Refusal::LongName)?);
    message.extend(text.as_bytes());
    Ok(())
}

fn malformed() -> Refusal {
    Refusal::Malformed("SOCKS5")
}

impl Exchange for Socks5 {
    fn greeting(&self) -> Vec<u8> {
        if self.login.is_some() { vec![VERSION, 2, NO_LOGIN, BY_LOGIN] } else { vec![VERSION, 1, NO_LOGIN] }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        self.came.extend_from_slice(bytes);
        if matches!(self.state, State::Method | State::Reply) && self.came.first() != Some(&VERSION) {
            return Err(malformed());
        }
        let next = match self.state {
            State::Method => {
                let Some(answer) = self.take(2) else { return Ok(Step::More) };
                match (answer[1], &self.login) {
                    (NO_LOGIN, _) => {
                        self.state = State::Reply;
                        self.request.clone()
                    }
                    (BY_LOGIN, Some(login)) => {
                        self.state = State::Login;
                        login.clone()
                    }
                    (NO_METHOD, _) => return Err(Refusal::Credentials),
                    _ => return Err(malformed()),
                }
            }
            State::Login => {
                let Some(answer) = self.take(2) else { return Ok(Step::More) };
                // Some say 5 for the version here.
                if !matches!(answer[0], LOGIN_VERSION | VERSION) {
                    return Err(malformed());
                }
                if answer[1] != 0 {
                    return Err(Refusal::Credentials);
                }
                self.state = State::Reply;
                self.request.clone()
            }
            State::Reply => {
                // A refusal may come without the address that belongs to it.
                if let Some(&code @ 1..) = self.came.get(1) {
                    return Err(Refusal::Reply(code));
                }
                let Some(_) = self.reply()? else { return Ok(Step::More) };
                return if self.came.is_empty() { Ok(Step::Done) } else { Err(malformed()) };
            }
        };
        // Nothing may come before it was asked for.
        if self.came.is_empty() { Ok(Step::Send(next)) } else { Err(malformed()) }
    }
}
