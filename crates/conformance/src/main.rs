//! Prints the table of the conformance suite: `cargo run -p conformance`, or with the names of some transports. Fails when
//! something is broken.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::process::ExitCode;

use conformance::subjects::TRANSPORTS;
use conformance::{Entry, Table};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = names.iter().find(|name| !TRANSPORTS.iter().any(|entry| entry.name == **name)) {
        let known: Vec<&str> = TRANSPORTS.iter().map(|entry| entry.name).collect();
        println!("there is no transport {unknown}; there are {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    let asked = |entry: &&Entry| names.is_empty() || names.iter().any(|name| name == entry.name);
    let entries: Vec<Entry> = TRANSPORTS.iter().filter(asked).copied().collect();
    let table = Table::of(&entries);
    println!("{table}");
    let broken = table.broken();
    for what in &broken {
        println!("broken: {what}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
