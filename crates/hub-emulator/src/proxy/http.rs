//! The HTTP side of a proxy.

use std::io;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::passage::{PassageEnd, ProxyProtocol};
use super::{Passing, ProxyFault, Shared, Way};

/// The largest head of a request, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

/// What a client asks for.
struct Asked {
    protocol: ProxyProtocol,
    host: String,
    port: u16,
    authorization: Option<String>,
    /// For a forwarded request: its head as the server gets it.
    head: Vec<u8>,
    /// What came behind the head.
    rest: Vec<u8>,
}

pub(super) async fn serve(mut passing: Passing<'_>) -> io::Result<()> {
    let Some(asked) = read(&mut passing).await? else {
        return passing.say_last(&answer("400 Bad Request", "")).await;
    };
    let target = format!("{}:{}", asked.host, asked.port);
    let note = |passing: &Passing<'_>, end| passing.note(asked.protocol, &target, end);
    let struck = passing.fault.clone().filter(|fault| *fault != ProxyFault::Pieces);
    if let Some(fault) = struck {
        note(&passing, PassageEnd::Fault);
        return strike(passing, fault).await;
    }
    if let Some(end) = refusal(passing.shared, asked.authorization.as_deref()) {
        note(&passing, end);
        let wants = "Proxy-Authenticate: Basic realm=\"hub-emulator\"\r\n";
        return passing.say_last(&answer("407 Proxy Authentication Required", wants)).await;
    }
    match passing.way(&asked.host, asked.port).await {
        Way::To(mut server) => {
            note(&passing, PassageEnd::Opened);
            if asked.protocol == ProxyProtocol::Connect {
                passing.say(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            }
            server.write_all(&asked.head).await?;
            server.write_all(&asked.rest).await?;
            passing.carry(server).await
        }
        Way::Forbidden => {
            note(&passing, PassageEnd::Forbidden);
            passing.say_last(&answer("403 Forbidden", "")).await
        }
        Way::Unreachable => {
            note(&passing, PassageEnd::Unreachable);
            passing.say_last(&answer("502 Bad Gateway", "")).await
        }
    }
}

async fn strike(mut passing: Passing<'_>, fault: ProxyFault) -> io::Result<()> {
    match fault {
        ProxyFault::Close => Ok(()),
        ProxyFault::Status(status) => passing.say_last(&answer(&format!("{status} On Demand"), "")).await,
        ProxyFault::Reply(_) => passing.say_last(&answer("502 Bad Gateway", "")).await,
        ProxyFault::Answer(bytes) => {
            passing.say(&bytes).await?;
            passing.drain().await
        }
        ProxyFault::Endless => {
            passing.say(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                passing.say(b"X-More: 0123456789012345678901234567890123456789\r\n").await?;
            }
        }
        ProxyFault::Hang | ProxyFault::Pieces => passing.drain().await,
    }
}

/// Reads the head of a request; `None` for one that a proxy cannot use.
async fn read(passing: &mut Passing<'_>) -> io::Result<Option<Asked>> {
    let mut came = Vec::new();
    loop {
        if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = came.split_off(end + 4);
            return Ok(parse(&came, rest));
        }
        if came.len() > LONGEST_HEAD || passing.client.read_buf(&mut came).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse(head: &[u8], rest: Vec<u8>) -> Option<Asked> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).ok()?.is_complete().then_some(())?;
    let (method, path) = (request.method?, request.path?);
    let connects = method == "CONNECT";
    let uri: http::Uri = path.parse().ok()?;
    let authority = uri.authority()?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().or((!connects).then_some(80))?;
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        String::from_utf8(found.value.to_vec()).ok()
    };
    let mut passed = Vec::new();
    if !connects {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        passed.extend(format!("{method} {path} HTTP/1.1\r\n").bytes());
        for header in request.headers.iter() {
            let lower = header.name.to_ascii_lowercase();
            if !lower.starts_with("proxy-") && lower != "connection" {
                passed.extend([header.name.as_bytes(), b": ", header.value, b"\r\n"].concat());
            }
        }
        // One request for each connection: the next one may be for another server.
        passed.extend(b"Connection: close\r\n\r\n");
    }
    Some(Asked {
        protocol: if connects { ProxyProtocol::Connect } else { ProxyProtocol::Forward },
        host,
        port,
        authorization: header("proxy-authorization"),
        head: passed,
        rest,
    })
}

/// Why a client may not pass.
fn refusal(shared: &Shared, authorization: Option<&str>) -> Option<PassageEnd> {
    let (name, password) = shared.user.as_ref()?;
    let wanted = BASE64.encode(format!("{name}:{}", password.expose()).as_bytes());
    match authorization.map(|text| text.strip_prefix("Basic ")) {
        Some(Some(given)) if given == wanted => None,
        Some(_) => Some(PassageEnd::WrongCredentials),
        None => Some(PassageEnd::NoCredentials),
    }
}

fn answer(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}
