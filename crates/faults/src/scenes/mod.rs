//! A scene for each fault, in a file of its number, and what they share in [`stage`].

mod documented;
mod f03_flapping;
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
mod f18_proxies;
mod f22_acks;
mod resets;
mod services;
pub(crate) mod stage;
mod watch;

use crate::fault::Fault;

/// Every fault, in the order of their numbers.
pub const FAULTS: &[Fault] = &[
    f03_flapping::FAULT,
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
    f18_proxies::FAULT,
    f22_acks::FAULT,
    resets::FAULT,
];
