//! The commands and their options.

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::{
    bridge, check, completions, doctor, imodel, journal, man, publish, replay, request, respond, serve, tail,
};

/// See what an event hub sees: tail, publish, ask, answer, record, replay and check events.
///
/// Which server and as whom: options, the environment (FTRACK_SERVER, FTRACK_API_USER, FTRACK_API_KEY), or a profile
/// in the configuration file.
///
/// Exit codes: 0 done; 1 failed; 2 wrong usage; 3 no connection; 4 out of time.
#[derive(Debug, Parser)]
#[command(name = "hubctl", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Whether to write in colors
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// Where the output is a terminal
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run both emulated services, for tests and demos
    Serve(serve::Args),
    /// Show events as they come
    Tail(tail::Args),
    /// Publish an event, and wait for the acknowledgement
    Publish(publish::Args),
    /// Publish an event and show the reply, or all replies
    Request(request::Args),
    /// Answer events with a canned reply
    Respond(respond::Args),
    /// Publish a recording again
    Replay(replay::Args),
    /// Bring events into a stream of NATS, and back
    Bridge(bridge::Args),
    /// Parse an expression, and say why an event matches or does not
    Check(check::Args),
    /// iModelHub: subscribe, read, listen, unsubscribe
    #[command(subcommand)]
    Imodel(imodel::Command),
    /// Journals: what a program kept, what it gave up, and trying that again
    #[command(subcommand)]
    Journal(journal::Command),
    /// Look for what is wrong with a connection, step by step
    Doctor(doctor::Args),
    /// Write the completions of a shell
    Completions(completions::Args),
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man(man::Args),
}
