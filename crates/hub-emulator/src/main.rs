//! The event hub emulator as a program.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use event_core::Secret;
use hub_emulator::Emulator;

/// An event hub for tests and demos: serves ftrack's official clients without an account.
///
/// Prints one line of JSON with its URL when it is ready, and runs until Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    ftrack: SocketAddr,
    /// A user that may connect; repeat it for several. Without any, every name and key are accepted.
    #[arg(long, value_name = "NAME:KEY", value_parser = user)]
    user: Vec<User>,
    /// A web origin that may connect, besides pages of this machine.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// A host name under which clients reach the emulator, besides localhost.
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Listen on an address that other machines reach: nothing is encrypted, and admin routes ask for no key.
    #[arg(long)]
    allow_remote: bool,
}

/// A name and a key that `Debug` does not show.
#[derive(Clone, Debug)]
struct User {
    name: String,
    key: Secret,
}

/// Keys have no colon; names, such as e-mail addresses of odd places, may.
fn user(text: &str) -> Result<User, &'static str> {
    match text.rsplit_once(':') {
        Some((name, key)) if !name.is_empty() && !key.is_empty() => {
            Ok(User { name: name.to_owned(), key: key.into() })
        }
        _ => Err("write it as NAME:KEY"),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let args = Args::parse();
    if args.allow_remote && !args.ftrack.ip().is_loopback() {
        tracing::warn!(address = %args.ftrack, "other machines can connect: no encryption, open admin routes");
    }
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "hub-emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let mut builder = Emulator::builder().ftrack_addr(args.ftrack).allow_remote(args.allow_remote);
    for User { name, key } in args.user {
        builder = builder.user(name, key);
    }
    builder = args.allow_origin.iter().fold(builder, hub_emulator::Builder::allow_origin);
    builder = args.allow_host.iter().fold(builder, hub_emulator::Builder::allow_host);
    let emulator = builder.start().await?;
    let end = end_signal()?;
    let mut out = std::io::stdout();
    // A reader that went away is no reason to stop.
    let _ = writeln!(out, "{}", serde_json::json!({"ftrack": emulator.ftrack_url()}));
    let _ = out.flush();
    end.await;
    tracing::info!("stopping");
    emulator.stop().await;
    Ok(())
}

/// Resolves at Ctrl-C or SIGTERM. Listens for them from the call on: a signal that comes right after the ready line
/// is not lost.
#[cfg(unix)]
fn end_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C. Listens for it from the call on.
#[cfg(windows)]
fn end_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
