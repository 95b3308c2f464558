//! Who may ask the inspector what. Pure: a request's head goes in, a refusal or nothing comes out.
//!
//! A page that anybody opens in a browser can send requests to this machine. `Host` gives away a rebound name, `Origin`
//! and `Sec-Fetch-Site` another site's page; a request that changes something needs a content type that no form can
//! send. Programs send none of these but `Host`.

use std::fmt;

use axum::http::header::{self, HeaderMap};
use axum::http::{Method, StatusCode};
use event_core::Secret;

use crate::ftrack::same_bytes;
use crate::origin::Policy;

/// The cookie that holds the token.
const COOKIE: &str = "hub-inspector";
/// The path by which a page gets it.
pub(super) const LOGIN: &str = "/api/login";

/// The rules of one inspector.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) policy: Policy,
    pub(super) token: Option<Secret>,
    pub(super) read_only: bool,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Host,
    Origin,
    Token,
    ReadOnly,
    ContentType,
}

impl Door {
    /// Whether this may be asked.
    pub(super) fn judge(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text("host").filter(|host| self.policy.admits_host(host)).ok_or(Refusal::Host)?;
        let own = match (headers.contains_key(header::ORIGIN), text("origin")) {
            (true, origin) => origin.is_some_and(|origin| is_own(origin, host)),
            (false, _) => match text("sec-fetch-site") {
                None | Some("same-origin" | "none") => true,
                // Somebody followed a link to the page.
                Some(_) => {
                    *method == Method::GET
                        && path == "/"
                        && text("sec-fetch-mode") == Some("navigate")
                        && text("sec-fetch-dest") == Some("document")
                }
            },
        };
        if !own {
            return Err(Refusal::Origin);
        }
        let reads = *method == Method::GET || *method == Method::HEAD;
        if !reads && !text("content-type").is_some_and(is_json) {
            return Err(Refusal::ContentType);
        }
        if path == LOGIN || !path.starts_with("/api/") {
            return Ok(());
        }
        if !self.knows(headers) {
            return Err(Refusal::Token);
        }
        if !reads && self.read_only {
            return Err(Refusal::ReadOnly);
        }
        Ok(())
    }

    /// Whether this is the token, or none is needed. Takes the same time wherever a difference is.
    pub(super) fn opens(&self, given: &str) -> bool {
        self.token.as_ref().is_none_or(|token| same_bytes(token.expose().as_bytes(), given.as_bytes()))
    }

    /// Whether the request has the token: as a bearer, or in the cookie.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let values = |name| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        let mut bearers = values(header::AUTHORIZATION).filter_map(|value| value.strip_prefix("Bearer "));
        let mut cookies = values(header::COOKIE)
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter_map(|(name, value)| (name == COOKIE).then_some(value));
        self.token.is_none()
            || bearers.any(|token| self.opens(token))
            || cookies.any(|token| self.opens(token))
    }
}

/// The cookie for a page that has shown the token: no script reads it, and no other site's page makes use of it.
pub(super) fn cookie(token: &str) -> String {
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict")
}

/// Whether a text can be a token: it has to fit a header, a cookie and a fragment as it is.
pub(super) fn is_token(text: &str) -> bool {
    text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}

/// Whether an origin is the inspector's own, as the browser knows it.
fn is_own(origin: &str, host: &str) -> bool {
    let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    named.is_some_and(|named| named.eq_ignore_ascii_case(host))
}

fn is_json(content_type: &str) -> bool {
    let name = content_type.split(';').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case("application/json")
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Origin | Self::ReadOnly => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "this host name is not one of the inspector's; allow it when you start it",
            Self::Origin => "the inspector answers its own page and programs only",
            Self::Token => {
                "give the token that was printed at the start: as Authorization: Bearer TOKEN, or open the page with \
                 the address that was printed"
            }
            Self::ReadOnly => "this inspector is read-only",
            Self::ContentType => "say Content-Type: application/json",
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn judge(door: &Door, method: &Method, path: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        door.judge(method, path, &headers)
    }

    fn open() -> Door {
        Door { policy: Policy::default(), token: None, read_only: false }
    }

    const HOST: (&str, &str) = ("host", "127.0.0.1:7012");
    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn pages_of_other_sites_and_rebound_names_are_refused() {
        let door = open();
        for (headers, expected) in [
            (vec![HOST], Ok(())),
            (vec![HOST, ("origin", "http://127.0.0.1:7012")], Ok(())),
            (vec![("host", "localhost:1"), ("origin", "http://LOCALHOST:1")], Ok(())),
            (vec![HOST, ("sec-fetch-site", "same-origin")], Ok(())),
            (vec![HOST, ("sec-fetch-site", "none")], Ok(())),
            (vec![], Err(Refusal::Host)),
            (vec![("host", "evil.example")], Err(Refusal::Host)),
            (vec![("host", "evil.example:7012"), ("origin", "http://evil.example:7012")], Err(Refusal::Host)),
            (vec![HOST, ("origin", "https://evil.example")], Err(Refusal::Origin)),
            (vec![HOST, ("origin", "http://127.0.0.1:9")], Err(Refusal::Origin)),
            (vec![HOST, ("origin", "http://localhost:7012")], Err(Refusal::Origin)),
            (vec![HOST, ("origin", "null")], Err(Refusal::Origin)),
            (vec![HOST, ("sec-fetch-site", "cross-site")], Err(Refusal::Origin)),
            (vec![HOST, ("sec-fetch-site", "same-site")], Err(Refusal::Origin)),
        ] {
            assert_eq!(judge(&door, &Method::GET, "/api/state", &headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_link_may_lead_to_the_page_and_to_nothing_else() {
        let door = open();
        let link = [
            HOST,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(judge(&door, &Method::GET, "/", &link), Ok(()));
        assert_eq!(judge(&door, &Method::GET, "/api/recording", &link), Err(Refusal::Origin));
        let mut framed = link;
        framed[3] = ("sec-fetch-dest", "iframe");
        assert_eq!(judge(&door, &Method::GET, "/", &framed), Err(Refusal::Origin));
    }

    #[test]
    fn changes_need_json_and_a_door_that_allows_them() {
        let mut door = open();
        let post = |door: &Door, headers: &[_]| judge(door, &Method::POST, "/api/publish", headers);
        assert_eq!(post(&door, &[HOST, JSON]), Ok(()));
        for form in ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json"] {
            assert_eq!(post(&door, &[HOST, ("content-type", form)]), Err(Refusal::ContentType), "{form}");
        }
        assert_eq!(post(&door, &[HOST]), Err(Refusal::ContentType));
        door.read_only = true;
        assert_eq!(post(&door, &[HOST, JSON]), Err(Refusal::ReadOnly));
        assert_eq!(judge(&door, &Method::GET, "/api/state", &[HOST]), Ok(()));
    }

    #[test]
    fn with_a_token_everything_but_the_page_itself_asks_for_it() {
        let door = Door { token: Some("0123456789abcdef".into()), ..open() };
        let get = |path: &str, more: &[(&str, &str)]| {
            judge(&door, &Method::GET, path, &[&[HOST][..], more].concat())
        };
        assert_eq!(get("/", &[]), Ok(()));
        assert_eq!(get("/app.js", &[]), Ok(()));
        for (headers, expected) in [
            (vec![], Err(Refusal::Token)),
            (vec![("authorization", "Bearer 0123456789abcdef")], Ok(())),
            (vec![("cookie", "a=b; hub-inspector=0123456789abcdef")], Ok(())),
            (vec![("authorization", "Bearer 0123456789abcdeX")], Err(Refusal::Token)),
            (vec![("authorization", "0123456789abcdef")], Err(Refusal::Token)),
            (vec![("cookie", "other=0123456789abcdef")], Err(Refusal::Token)),
            (vec![("cookie", "hub-inspector=")], Err(Refusal::Token)),
        ] {
            assert_eq!(get("/api/stream", &headers), expected, "{headers:?}");
        }
        assert_eq!(judge(&door, &Method::POST, LOGIN, &[HOST, JSON]), Ok(()));
        assert!(door.opens("0123456789abcdef") && !door.opens("") && open().opens(""));
    }

    #[test]
    fn a_token_is_long_and_plain() {
        assert!(is_token("0123456789abcDE-_.~"));
        for text in ["", "short", "0123456789abcde;", "0123456789 abcdef", "0123456789abcdé"] {
            assert!(!is_token(text), "{text}");
        }
    }
}
