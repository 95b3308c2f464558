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

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    /// The names of a command's page and of those of its subcommands.
    fn pages(command: &Command, before: &str) -> Vec<String> {
        let name =
            if before.is_empty() { "hubctl".to_owned() } else { format!("{before}-{}", command.get_name()) };
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        let mut all: Vec<String> = below.flat_map(|below| pages(below, &name)).collect();
        all.push(name);
        all
    }

    #[test]
    fn every_command_has_a_page_that_says_how_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        run(&Args { folder: folder.path().to_owned() }).unwrap();
        let pages = pages(&Cli::command(), "");
        assert!(pages.contains(&"hubctl-journal-dead-letters".to_owned()) && pages.len() > 15, "{pages:?}");
        for page in pages {
            let text = std::fs::read_to_string(folder.path().join(format!("{page}.1"))).unwrap();
            assert!(text.contains(".SH SYNOPSIS") && text.contains(".SH DESCRIPTION"), "{page}: {text}");
        }
    }
}
