//! The iModelHub side: event subscriptions over REST, and their queues as Azure Service Bus serves them.
//!
//! What can be asked about it is a [`State`]; what it can be made to do wrong is a [`Fault`], set by
//! [`Faults`]. Everything else is on
//! [`Emulator`](crate::Emulator) and its [`Builder`](crate::Builder).
//!
//! Inside: `service` makes an answer of a request and knows no socket and no clock; below it are `route`, `wsg` and
//! `answers` (the forms), `bus` and `queue` (subscriptions and messages), `sas` and `tokens` (who may do what),
//! `events` (what events say; their wrapping is transport-longpoll's). `hub` holds it under a lock and keeps polls
//! waiting; `http`, `admin` and `server` are the network; `faults` and `spoil` are the misbehaviour.
//! `webhooks` is the iTwin Platform's way of telling the same: its routes, and what is sent to callbacks.

mod admin;
mod answers;
mod bus;
#[cfg(test)]
mod bus_tests;
mod captures;
mod clock;
mod events;
mod faults;
mod http;
mod hub;
mod ids;
mod methods;
mod queue;
mod route;
mod sas;
mod server;
mod service;
mod spoil;
mod state;
mod tokens;
mod topic;
#[cfg(feature = "inspector")]
mod view;
mod webhook_methods;
mod webhooks;
mod wsg;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use faults::{Action, Fault, Faults};
pub use methods::ConnectionReset;
pub use state::{State, Stats, SubscriptionInfo};
pub use webhooks::{WebhookAction, WebhookFault};

pub(crate) use hub::Hub;
pub(crate) use server::Server;
pub(crate) use spoil::NoAnswer;
pub(crate) use topic::Topic;
#[cfg(feature = "inspector")]
pub(crate) use view::{MessageView, QueueView};

use crate::origin::Policy;

/// Every setting, checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) address: SocketAddr,
    pub(crate) policy: Policy,
    pub(crate) settings: service::Settings,
    pub(crate) rules: bus::Rules,
    /// How webhooks are sent, and sent again.
    pub(crate) poster: webhooks::Poster,
    pub(crate) resending: webhooks::Resending,
    /// How many exchanges are kept.
    pub(crate) captures: usize,
    /// What ids are made from; `None`: something new at each start.
    pub(crate) seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        let settings = service::Settings {
            access_tokens: Vec::new(),
            sas_lifetime: Duration::from_secs(3_600),
            sas_max_uses: None,
            plain_bodies: false,
            tls: false,
            max_poll: Duration::from_secs(230),
            event_types: Vec::new(),
        };
        let rules = bus::Rules {
            lock: Duration::from_secs(60),
            max_deliveries: 10,
            idle: Duration::from_secs(3_600),
            global_idle: None,
            after_deletion: Duration::from_secs(300),
            max_subscriptions: 10_000,
            max_queued: 100_000,
        };
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            policy: Policy::default(),
            settings,
            rules,
            poster: webhooks::Poster::default(),
            resending: webhooks::Resending::default(),
            captures: 1_000,
            seed: None,
        }
    }
}
