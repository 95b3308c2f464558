//! Queues with a head, drained over HTTP long polling, as a transport for [`event_core`].
//!
//! The interface is that of the Azure Service Bus over HTTP, which is what iModelHub's event subscriptions are; this
//! crate knows neither iModels nor how a queue comes to be. A queue is an [address](address::QueueAddress), a
//! [mode](request::ReceiveMode) in which it is read, and a [source of authorizations](auth::QueueAuth).
//!
//! Most rooms are pure: [`binary_xml`] unwraps bodies, [`broker`] and [`message`] read what came, [`outcome`] is the
//! table of statuses, [`lock`] checks where a message is settled, [`request`] makes requests, and [`poll`] is the
//! machine that decides when to poll. Around them are [`LongPollTransport`], a thin shell without tasks, and
//! [`QueueClient`] for single requests. HTTP comes through a seam, [`HttpExchange`]: reqwest behind the feature
//! of that name, or whatever a test puts there.
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use http::{HeaderMap, StatusCode};
//! use transport_longpoll::address::QueueAddress;
//! use transport_longpoll::auth::{Authorization, FixedAuth};
//! use transport_longpoll::exchange::{Request, Response};
//! use transport_longpoll::request::ReceiveMode;
//! use transport_longpoll::{ExchangeError, HttpExchange, QueueClient, binary_xml};
//!
//! /// A service in memory.
//! struct Service;
//!
//! #[async_trait]
//! impl HttpExchange for Service {
//!     async fn exchange(&self, request: Request) -> Result<Response, ExchangeError> {
//!         assert!(request.url.ends_with("/messages/head"));
//!         let mut headers = HeaderMap::new();
//!         headers.insert("content-type", "VersionEvent".parse().unwrap());
//!         Ok(Response::new(StatusCode::OK, headers, binary_xml::wrap(r#"{"VersionName":"v1"}"#)))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> event_core::Result<()> {
//! let address = QueueAddress::parse("https://ns.example.com/topic/Subscriptions/1")?;
//! let auth = FixedAuth::new(Authorization::sas("SharedAccessSignature sr=..&sig=..&se=1795445805&skn=k"));
//! let queue = QueueClient::new(address, Arc::new(Service), Arc::new(auth));
//! let message = queue.receive(ReceiveMode::ReceiveAndDelete, None).await?.expect("a message");
//! let event = message.to_event()?;
//! assert_eq!(event.topic(), &"VersionEvent");
//! assert_eq!(event.data_value()["VersionName"], "v1");
//! # Ok(())
//! # }
//! ```

pub mod address;
pub mod auth;
pub mod binary_xml;
pub mod broker;
mod client;
pub mod exchange;
pub mod lock;
pub mod message;
pub mod outcome;
pub mod poll;
mod queue;
pub mod request;
mod transport;

pub use client::{Lock, QueueClient};
pub use exchange::{ExchangeError, HttpExchange};
pub use queue::QueueState;
pub use transport::{LongPollTransport, LongPollTransportBuilder};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
