//! The bodies, by what they are about.

pub(crate) mod connecting;
pub(crate) mod credit;
pub(crate) mod delivering;
pub(crate) mod ending;
pub(crate) mod healing;
pub(crate) mod publishing;
pub(crate) mod settling;
pub(crate) mod subscribing;

use event_core::transport::{Capabilities, Guarantee};

/// A guarantee that this transport offers: the plainest.
pub(crate) fn offered(capabilities: &Capabilities) -> Guarantee {
    if capabilities.guarantees.contains(Guarantee::AtMostOnce) {
        Guarantee::AtMostOnce
    } else {
        Guarantee::AtLeastOnce
    }
}
