//! `hubctl journal`: what a program kept of its events, one file for each command.

mod dead_letters;
mod ls;
mod replay;
mod requeue;
mod show;

use crate::exit::Result;

/// Journals of programs that keep their events: what is in them, what was given up, and trying it again.
///
/// A journal belongs to one program at a time. While that has it open, nothing can be seen of it. Except for requeue,
/// these commands change nothing.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show what a journal holds: records, consumers, what waits and what was given up
    Ls(ls::Args),
    /// Show the events of a journal, and its gaps
    Show(show::Args),
    /// Publish the events of a journal again
    Replay(replay::Args),
    /// Show what was given up, and why
    DeadLetters(dead_letters::Args),
    /// Have what was given up delivered or sent again
    Requeue(requeue::Args),
}

pub(crate) async fn run(command: Command) -> Result {
    match command {
        Command::Ls(args) => ls::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::DeadLetters(args) => dead_letters::run(args).await,
        Command::Requeue(args) => requeue::run(args).await,
    }
}
