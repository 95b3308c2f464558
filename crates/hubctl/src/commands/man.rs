//! `hubctl man`: for those who make packages.

use std::path::PathBuf;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::Result;

/// Writes the manual pages.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder
    folder: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result {
    std::fs::create_dir_all(&args.folder)?;
    Ok(clap_mangen::generate_to(Cli::command(), &args.folder)?)
}
