//! Actions: entries of the menus of ftrack's web interface that run in this program.
//!
//! [`EventHub::action`](crate::EventHub::action) describes one. When somebody opens the menu, ftrack asks every
//! program which actions it has for the selection (`ftrack.action.discover`); when one is picked, it is launched by
//! its identifier (`ftrack.action.launch`) and answers with a message or a [`Form`]; the submitted form launches it
//! again, with values. Work that takes long answers at once and reports later ([`Outcome::later`]).

mod builder;
mod discover;
mod form;
mod handle;
mod launch;
mod values;

pub use builder::ActionBuilder;
pub use discover::{IntoOffer, Offer};
pub use form::{Form, Input};
pub use handle::ActionHandle;
pub use launch::{IntoOutcome, Launch, Outcome, Progress};
pub use values::FormValues;
