//! Client for iModelHub events.

mod client;
mod event;
mod listener;
mod names;
mod service;
mod service_error;
mod token;
mod wsg;

pub use client::{ClientBuilder, Environment, EventSubscription, IModelHubClient, LockedEvent};
pub use event::{
    ChangeSetPushed, Checkpoint, CodeState, CodesUpdated, ContextType, EventType, GlobalChange, GlobalEvent,
    GlobalEventType, HubEvent, IModelEvent, LockLevel, LockType, LocksUpdated, VersionCreated,
};
pub use listener::{Listened, Listener, ListenerBuilder, ListenerState, ListenerStream, SubscriptionGap};
pub use names::{GlobalSubscriptionKey, IModelId};
pub use service_error::{ErrorClass, ServiceError, service_error};
pub use token::{AccessToken, AccessTokenProvider, SasToken};

pub use event_core::{Error, ErrorKind, IntoReply, Result, Retry, Secret};
pub use transport_longpoll::HttpExchange;
pub use transport_longpoll::request::ReceiveMode;
