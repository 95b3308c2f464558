//! A scene for each fault, in a file of its number, and what they share in [`stage`].

mod f01_killed_links;
mod f02_outage;
mod f03_flapping;
mod f04_half_open;
mod f05_expired;
mod f17_suspend;
mod f21_slow_network;
mod killed_links;
mod latency;
mod queues;
mod resets;
pub(crate) mod stage;

use crate::fault::Fault;

/// Every fault, in the order of their numbers.
pub const FAULTS: &[Fault] = &[
    f01_killed_links::FAULT,
    f02_outage::FAULT,
    f03_flapping::FAULT,
    f04_half_open::FAULT,
    f05_expired::FAULT,
    f17_suspend::FAULT,
    f21_slow_network::FAULT,
    resets::FAULT,
];
