//! The event hub emulators as a program.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use event_core::Secret;
use hub_emulator::Emulator;

/// Event hubs for tests and demos: serve the official clients of ftrack and iModelHub without an account.
///
/// Prints one line of JSON with the URLs when it is ready, and runs until Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to serve ftrack clients; port 0 takes a free one. This is what is served when nothing is asked for.
    #[arg(long, value_name = "ADDRESS:PORT")]
    ftrack: Option<SocketAddr>,
    /// Where to serve iModelHub clients; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    imodelhub: Option<SocketAddr>,
    /// An ftrack user that may connect; repeat it for several. Without any, every name and key are accepted.
    #[arg(long, value_name = "NAME:KEY", value_parser = user)]
    user: Vec<User>,
    /// An iModelHub access token that is good; repeat it for several. Without any, every token is accepted.
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    access_token: Vec<Secret>,
    /// A web origin that may connect, besides pages of this machine.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// A host name under which clients reach the emulator, besides localhost.
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Speak TLS, with a certificate for localhost made at the start; the certificate of its authority, which clients
    /// are to trust, is written to this file in PEM.
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "CA-FILE")]
    tls: Option<std::path::PathBuf>,
    /// Listen on an address that other machines reach: nothing is encrypted without --tls, and admin routes ask for no
    /// key.
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

fn token(text: &str) -> Result<Secret, &'static str> {
    if text.is_empty() { Err("a token is not empty") } else { Ok(text.into()) }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let args = Args::parse();
    for address in args.ftrack.iter().chain(&args.imodelhub).filter(|address| !address.ip().is_loopback()) {
        if args.allow_remote {
            tracing::warn!(%address, "other machines can connect, and admin routes are open to them");
        }
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
    let mut builder = Emulator::builder().allow_remote(args.allow_remote);
    let with_ftrack = args.ftrack.is_some() || args.imodelhub.is_none();
    builder = match args.ftrack {
        Some(address) => builder.ftrack_addr(address),
        None if with_ftrack => builder,
        None => builder.without_ftrack(),
    };
    builder = match args.imodelhub {
        Some(address) => builder.imodelhub_addr(address),
        None => builder.without_imodelhub(),
    };
    builder = args.access_token.into_iter().fold(builder, hub_emulator::Builder::access_token);
    for User { name, key } in args.user {
        builder = builder.user(name, key);
    }
    builder = args.allow_origin.iter().fold(builder, hub_emulator::Builder::allow_origin);
    builder = args.allow_host.iter().fold(builder, hub_emulator::Builder::allow_host);
    #[cfg(feature = "tls")]
    if args.tls.is_some() {
        let certificate = args
            .allow_host
            .iter()
            .fold(hub_emulator::TlsCertificate::valid(), hub_emulator::TlsCertificate::host);
        builder = builder.tls(certificate);
    }
    let emulator = builder.start().await?;
    #[cfg(feature = "tls")]
    if let (Some(file), Some(pem)) = (&args.tls, emulator.root_certificate_pem()) {
        std::fs::write(file, pem).map_err(|cause| {
            format!(
                "cannot write the certificate to {}: {cause}; name a file in a folder that exists",
                file.display()
            )
        })?;
    }
    let end = end_signal()?;
    let mut out = std::io::stdout();
    // A reader that went away is no reason to stop.
    let mut urls = serde_json::Map::new();
    if with_ftrack {
        urls.insert("ftrack".to_owned(), emulator.ftrack_url().into());
    }
    if args.imodelhub.is_some() {
        urls.insert("imodelhub".to_owned(), emulator.imodelhub_url().into());
    }
    let _ = writeln!(out, "{}", serde_json::Value::Object(urls));
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
