//! The SOCKS5 side of a proxy (RFC 1928 and 1929).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::io::AsyncReadExt;

use super::passage::{PassageEnd, ProxyProtocol};
use super::{Passing, ProxyFault, Way};

pub(super) const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const BY_LOGIN: u8 = 2;
const NO_METHOD: u8 = 0xff;
const GENERAL_FAILURE: u8 = 1;
const NOT_ALLOWED: u8 = 2;
const REFUSED: u8 = 5;
const NO_SUCH_COMMAND: u8 = 7;

pub(super) async fn serve(mut passing: Passing<'_>) -> io::Result<()> {
    let methods = greeting(&mut passing).await?;
    match passing.fault.clone() {
        Some(ProxyFault::Answer(bytes)) => {
            passing.note(ProxyProtocol::Socks5, "", PassageEnd::Fault);
            passing.say(&bytes).await?;
            return passing.drain().await;
        }
        Some(ProxyFault::Endless) => {
            passing.note(ProxyProtocol::Socks5, "", PassageEnd::Fault);
            loop {
                passing.say(&[0; 64]).await?;
            }
        }
        _ => {}
    }
    if let Some(end) = login(&mut passing, &methods).await? {
        passing.note(ProxyProtocol::Socks5, "", end);
        return passing.drain().await;
    }
    let (command, host, port) = request(&mut passing).await?;
    let target = format!("{host}:{port}");
    let note = |passing: &Passing<'_>, end| passing.note(ProxyProtocol::Socks5, &target, end);
    let struck = match &passing.fault {
        None | Some(ProxyFault::Pieces) => None,
        Some(ProxyFault::Reply(code)) => Some(Some(*code)),
        Some(ProxyFault::Status(_)) => Some(Some(GENERAL_FAILURE)),
        Some(ProxyFault::Close) => Some(None),
        Some(_) => {
            note(&passing, PassageEnd::Fault);
            return passing.drain().await;
        }
    };
    if let Some(code) = struck {
        note(&passing, PassageEnd::Fault);
        return match code {
            Some(code) => passing.say_last(&reply(code)).await,
            None => Ok(()),
        };
    }
    if command != 1 {
        return passing.say_last(&reply(NO_SUCH_COMMAND)).await;
    }
    match passing.way(&host, port).await {
        Way::To(server) => {
            note(&passing, PassageEnd::Opened);
            passing.say(&reply(0)).await?;
            passing.carry(server).await
        }
        Way::Forbidden => {
            note(&passing, PassageEnd::Forbidden);
            passing.say_last(&reply(NOT_ALLOWED)).await
        }
        Way::Unreachable => {
            note(&passing, PassageEnd::Unreachable);
            passing.say_last(&reply(REFUSED)).await
        }
    }
}

/// The methods that the client offers.
async fn greeting(passing: &mut Passing<'_>) -> io::Result<Vec<u8>> {
    let _version = passing.client.read_u8().await?;
    field(passing).await
}

/// Agrees on a method and checks the login; says why the client may not pass.
async fn login(passing: &mut Passing<'_>, methods: &[u8]) -> io::Result<Option<PassageEnd>> {
    let Some((name, password)) = passing.shared.user.clone() else {
        passing.say(&[VERSION, NO_LOGIN]).await?;
        return Ok(None);
    };
    if !methods.contains(&BY_LOGIN) {
        passing.say(&[VERSION, NO_METHOD]).await?;
        return Ok(Some(PassageEnd::NoCredentials));
    }
    passing.say(&[VERSION, BY_LOGIN]).await?;
    let _version = passing.client.read_u8().await?;
    let (given_name, given_password) = (field(passing).await?, field(passing).await?);
    let right = given_name == name.as_bytes() && given_password == password.expose().as_bytes();
    passing.say(&[1, u8::from(!right)]).await?;
    Ok((!right).then_some(PassageEnd::WrongCredentials))
}

/// Command, host and port.
async fn request(passing: &mut Passing<'_>) -> io::Result<(u8, String, u16)> {
    let mut head = [0; 4];
    passing.client.read_exact(&mut head).await?;
    let host = match head[3] {
        1 => Ipv4Addr::from(passing.client.read_u32().await?).to_string(),
        4 => Ipv6Addr::from(passing.client.read_u128().await?).to_string(),
        _ => String::from_utf8_lossy(&field(passing).await?).into_owned(),
    };
    Ok((head[1], host, passing.client.read_u16().await?))
}

/// Bytes with their number in front.
async fn field(passing: &mut Passing<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(passing.client.read_u8().await?)];
    passing.client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn reply(code: u8) -> [u8; 10] {
    [VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]
}
