//! The service: from a request to an answer, or to a poll that waits. Pure; the time is an argument.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event_core::Secret;
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request, StatusCode};
use transport_longpoll::binary_xml::{Form, wrap_as};

use super::answers::{Answer, bus_error, delivery, empty, platform_error, wsg_error};
use super::bus::{Bus, NotSettled, Rules};
use super::events::{default_body, is_known};
use super::ids::Ids;
use super::queue::Settle;
use super::route::{NoRoute, Place, Route};
use super::sas::SasTokens;
use super::tokens::{AccessTokens, Refused};
use super::topic::Topic;
use super::webhooks::Webhooks;
use super::wsg;
use crate::faults::{Defect, Defects};

/// What can be set about the service, while it runs too.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) access_tokens: Vec<Secret>,
    pub(crate) sas_lifetime: Duration,
    pub(crate) sas_max_uses: Option<u32>,
    pub(crate) plain_bodies: bool,
    /// Whether clients come by https.
    pub(crate) tls: bool,
    /// The longest that a poll is held, whatever it asks for.
    pub(crate) max_poll: Duration,
    /// Types known besides the real ones, in both families.
    pub(crate) event_types: Vec<String>,
}

/// Everything the service remembers.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) settings: Settings,
    pub(super) bus: Bus,
    pub(super) sas: SasTokens,
    pub(super) tokens: AccessTokens,
    pub(super) webhooks: Webhooks,
    defects: Defects,
    published: u64,
}

/// What comes of a request.
#[derive(Debug)]
pub(super) enum Step {
    Answer(Answer),
    /// Ask [`Service::receive`] until it answers or the time is over.
    Poll(Poll),
}

/// A request for the message in front of a queue.
#[derive(Clone, Debug)]
pub(super) struct Poll {
    pub(super) topic: Topic,
    pub(super) subscription: String,
    pub(super) lock: bool,
    /// How long it may wait.
    pub(super) wait: Duration,
    /// Scheme and host under which the client reached the service.
    origin: String,
}

impl Service {
    pub(super) fn new(
        settings: Settings,
        rules: Rules,
        (seed, callbacks_anywhere): (u64, bool),
        defects: Defects,
    ) -> Self {
        let tokens = AccessTokens::new(&settings.access_tokens);
        Self {
            settings,
            bus: Bus::new(rules, Ids::new(seed), defects.clone()),
            sas: SasTokens::new(defects.clone()),
            tokens,
            webhooks: Webhooks::new(seed, callbacks_anywhere),
            defects,
            published: 0,
        }
    }

    /// Judges a request. `address` is where the service listens, for a client that names no host.
    pub(super) fn request(&mut self, request: &Request<Bytes>, address: &str, now: Duration) -> Step {
        self.bus.stats.requests += 1;
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let scheme = if self.settings.tls { "https" } else { "http" };
        let origin = format!("{scheme}://{}", host.filter(|host| !host.is_empty()).unwrap_or(address));
        let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        match Route::parse(request.uri().path()) {
            Ok(Route::Wsg { topic, class, id }) => {
                if let Err(refused) = self.tokens.admit(authorization) {
                    self.bus.stats.tokens_refused += 1;
                    return Step::Answer(login_failed(refused));
                }
                Step::Answer(wsg::handle(self, &topic, class, id, request, &origin, now))
            }
            Ok(Route::Webhooks { id }) => {
                if let Err(refused) = self.tokens.admit(authorization) {
                    self.bus.stats.tokens_refused += 1;
                    return Step::Answer(not_let_in(refused));
                }
                Step::Answer(self.webhooks.handle(id, request, now))
            }
            Ok(Route::Bus { .. }) if self.is_lost(request.uri().path()) => no_such_entity(),
            Ok(Route::Bus { topic, subscription, place }) => {
                if !self.sas.admit(authorization.unwrap_or_default(), &topic, now) {
                    self.bus.stats.sas_refused += 1;
                    return Step::Answer(sas_refused());
                }
                match place {
                    Place::Head => self.head(request, topic, subscription, origin),
                    Place::Message(key, token) => {
                        Step::Answer(self.settle(request.method(), &topic, subscription, (key, token), now))
                    }
                }
            }
            Err(NoRoute::NoClass) => {
                Step::Answer(wsg_error(StatusCode::NOT_FOUND, "ClassNotFound", "No such class"))
            }
            Err(NoRoute::NoIModel) => Step::Answer(wsg_error(
                StatusCode::NOT_FOUND,
                "iModelHub.iModelDoesNotExist",
                "iModel does not exist",
            )),
            Err(NoRoute::NoEntity | NoRoute::Unknown) => no_such_entity(),
        }
    }

    /// Whether a defect makes a path on the bus lead nowhere.
    fn is_lost(&self, path: &str) -> bool {
        self.defects.has(Defect::LowerCaseLocation) && !path.contains("/Subscriptions/")
    }

    fn head(&mut self, request: &Request<Bytes>, topic: Topic, subscription: &str, origin: String) -> Step {
        let lock = match *request.method() {
            Method::DELETE => false,
            Method::POST => true,
            _ => return Step::Answer(no_such_method()),
        };
        let Some(wait) = timeout(request.uri().query().unwrap_or_default()) else {
            return Step::Answer(bus_error(
                StatusCode::BAD_REQUEST,
                "The timeout is not a number of seconds",
            ));
        };
        self.bus.stats.receives += 1;
        let wait = wait.min(self.settings.max_poll);
        Step::Poll(Poll { topic, subscription: subscription.to_owned(), lock, wait, origin })
    }

    /// The answer to a poll, if there is one already. `waited` says that it has been held.
    pub(super) fn receive(&mut self, poll: &Poll, waited: bool, now: Duration) -> Option<Answer> {
        let Poll { topic, subscription, origin, .. } = poll;
        let charset = self.defects.has(Defect::CharsetOnType);
        match self.bus.receive(topic, subscription, poll.lock, now) {
            Ok(message) => message.map(|message| {
                let id = subscription.to_ascii_lowercase();
                let place = format!("{origin}/bus/{}/subscriptions/{id}", topic.path());
                delivery(&message, &place, charset, now)
            }),
            Err(_) if waited => Some(bus_error(StatusCode::GONE, "subscription deleted while waiting")),
            Err(_) => Some(no_such_subscription(subscription)),
        }
    }

    fn settle(
        &mut self,
        method: &Method,
        topic: &Topic,
        subscription: &str,
        message: (&str, &str),
        now: Duration,
    ) -> Answer {
        let settle = match *method {
            Method::DELETE => Settle::Complete,
            Method::PUT => Settle::Unlock,
            Method::POST => Settle::Renew(self.bus.rules.lock),
            _ => return no_such_method(),
        };
        match self.bus.settle(topic, subscription, message, settle, now) {
            Ok(()) => empty(StatusCode::OK),
            Err(NotSettled::Gone) => no_such_subscription(subscription),
            Err(NotSettled::NoSuchLock) => bus_error(
                StatusCode::NOT_FOUND,
                "The lock supplied is invalid. Either the lock expired, or the message has already been removed",
            ),
        }
    }

    /// Whether a type can be subscribed to and published.
    pub(super) fn knows(&self, topic: &Topic, name: &str) -> bool {
        is_known(topic, name) || self.settings.event_types.iter().any(|known| known == name)
    }

    /// Publishes an event; gives the ids of the subscriptions it was queued for. `None`: there is no such type.
    pub(super) fn publish(
        &mut self,
        topic: &Topic,
        name: &str,
        body: Option<&str>,
        now: Duration,
    ) -> Option<Vec<String>> {
        if !self.knows(topic, name) {
            return None;
        }
        self.published += 1;
        let default;
        let json = if let Some(body) = body {
            body
        } else {
            default = default_body(topic, name, self.published);
            &default
        };
        let (told, dropped) = self.webhooks.tell_of(topic, name, json, now);
        self.bus.stats.webhooks_told += told as u64;
        self.bus.stats.webhooks_over_limit += dropped as u64;
        // Always UTF-8, as in every recording; .NET would choose UTF-16 for some texts.
        let body = if self.settings.plain_bodies {
            Bytes::copy_from_slice(json.as_bytes())
        } else {
            wrap_as(json, Form::Utf8)
        };
        Some(self.bus.publish(topic, &Arc::from(name), body, now))
    }
}

/// The wait that a query asks for; the last word counts. `None`: not a number of seconds.
fn timeout(query: &str) -> Option<Duration> {
    let asked = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| key.eq_ignore_ascii_case("timeout"))
        .map(|(_, value)| value)
        .next_back();
    match asked {
        None | Some("") => Some(Duration::ZERO),
        Some(seconds) if seconds.bytes().all(|byte| byte.is_ascii_digit()) => {
            // More digits than a number has are a long wait still.
            Some(Duration::from_secs(seconds.parse().unwrap_or(u64::MAX)))
        }
        Some(_) => None,
    }
}

pub(super) fn login_failed(refused: Refused) -> Answer {
    let message = match refused {
        Refused::Missing => "Authentication header is missing or malformed",
        Refused::Unknown => "The access token is expired or revoked",
    };
    wsg_error(StatusCode::UNAUTHORIZED, "LoginFailed", message)
}

/// The platform's words for the same.
fn not_let_in(refused: Refused) -> Answer {
    let (code, message) = match refused {
        Refused::Missing => ("HeaderNotFound", "Header Authorization was not found in the request."),
        Refused::Unknown => ("InvalidToken", "The access token is expired or revoked."),
    };
    platform_error(StatusCode::UNAUTHORIZED, code, message, None)
}

pub(super) fn sas_refused() -> Answer {
    bus_error(StatusCode::UNAUTHORIZED, "ExpiredToken: The token is expired or invalid")
}

fn no_such_subscription(id: &str) -> Answer {
    let shown: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    bus_error(StatusCode::GONE, &format!("No such subscription {shown}"))
}

fn no_such_entity() -> Step {
    Step::Answer(bus_error(StatusCode::NOT_FOUND, "No such entity"))
}

fn no_such_method() -> Answer {
    bus_error(StatusCode::METHOD_NOT_ALLOWED, "No such operation")
}
