//! A scene for each fault, in a file of its number, and what they share in [`stage`].

mod bridges;
mod documented;
mod f01_killed_links;
mod f02_outage;
mod f03_flapping;
mod f04_half_open;
mod f05_expired;
mod f06_malformed;
mod f07_requests;
mod f08_sleeper;
mod f09_panics;
mod f10_slow;
mod f11_credit;
mod f12_lock;
mod f14_drain;
mod f15_drops;
mod f16_order;
mod f17_suspend;
mod f18_proxies;
mod f19_secrets;
mod f20_rolling_restart;
mod f21_slow_network;
mod f22_acks;
mod killed_links;
mod latency;
mod memory;
mod queues;
mod reset_sockets;
mod resets;
mod services;
pub(crate) mod stage;
mod watch;
mod workers;

use crate::fault::Fault;
pub use workers::work_if_asked;

/// Every fault, in the order of their numbers.
pub const FAULTS: &[Fault] = &[
    f01_killed_links::FAULT,
    f02_outage::FAULT,
    f03_flapping::FAULT,
    f04_half_open::FAULT,
    f05_expired::FAULT,
    f06_malformed::FAULT,
    f07_requests::FAULT,
    f08_sleeper::FAULT,
    f09_panics::FAULT,
    f10_slow::FAULT,
    f11_credit::FAULT,
    f12_lock::FAULT,
    f14_drain::FAULT,
    f15_drops::FAULT,
    f16_order::FAULT,
    f17_suspend::FAULT,
    f18_proxies::FAULT,
    f19_secrets::FAULT,
    f20_rolling_restart::FAULT,
    f21_slow_network::FAULT,
    f22_acks::FAULT,
    bridges::FAULT,
    reset_sockets::FAULT,
    memory::FAULT,
    resets::FAULT,
    workers::FAULT,
];
