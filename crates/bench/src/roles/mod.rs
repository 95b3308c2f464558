//! The parts that this program plays when it is started again as a measured party.

mod floor;
mod http;
mod idle;
mod nats;
mod ours;
mod server;
mod socket;
mod writes;

use interop::Failure;
use tokio::runtime::{Builder, Runtime};

pub use floor::Envelope;

use crate::party;

/// Plays a part until standard input ends.
///
/// # Errors
///
/// When there is no such part, or standard input or output fails.
pub fn play(role: &str) -> Result<(), Failure> {
    let here = || Builder::new_current_thread().enable_all().build().map_err(party::failed);
    let many = || Builder::new_multi_thread().enable_all().build().map_err(party::failed);
    let on = |runtime: Result<Runtime, Failure>| runtime;
    let ended = match role {
        "server" => on(many())?.block_on(party::obey(server::Server::default())),
        "ours" => on(here())?.block_on(party::obey(ours::Ours::default())),
        "bare" | "envelope" | "value" => {
            on(here())?.block_on(async { party::obey(floor::Floor::new(floor::Depth::of(role))).await })
        }
        "idle" => on(here())?.block_on(party::obey(idle::Idle::default())),
        "writes" => on(here())?.block_on(party::obey(writes::Writes::default())),
        "nats" => on(here())?.block_on(party::obey(nats::Nats::default())),
        "http" => on(here())?.block_on(party::obey(http::Http::default())),
        other => return Err(Failure::new(format!("\"{other}\" is not a part to play"))),
    };
    ended.map_err(party::failed)
}
