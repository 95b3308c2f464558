//! `hubctl serve`.

mod faults;
mod record;
mod seed;

use std::net::SocketAddr;
use std::path::PathBuf;

use ftrack_hub::Secret;
use hub_emulator::inspector::Inspector;
use hub_emulator::{Builder, Emulator, Error, ErrorKind};

use self::faults::Wanted;
use self::record::Recorder;
use self::seed::Seed;
use crate::exit::{Exit, Failure, Result};
use crate::output::{Format, Writer};
use crate::signals;

/// The environment variable with the inspector's token: other users of the machine see options.
const TOKEN: &str = "HUBCTL_INSPECTOR_TOKEN";

/// Runs both emulated services until Ctrl-C, with a page that shows what they see, and prints what to set to reach them.
/// They keep nothing when they end.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where ftrack clients connect; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7010")]
    ftrack: SocketAddr,
    /// Where iModelHub clients connect; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7011")]
    imodelhub: SocketAddr,
    /// Where the inspector is, a page for a browser; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7012")]
    inspector: SocketAddr,
    /// Serve no inspector
    #[arg(long, conflicts_with_all = ["inspector", "read_only"])]
    no_inspector: bool,
    /// Let nobody publish or set faults from the inspector
    #[arg(long)]
    read_only: bool,
    /// A user that may connect; repeat it for several. Default: every name and key
    #[arg(long, value_name = "NAME:KEY", value_parser = user)]
    user: Vec<(String, Secret)>,
    /// What is there at the start: iModel subscriptions and events, as JSON
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Something to go wrong, such as reset, or '{"action":{"do":"status","status":503},"times":3}'; for iModelHub with
    /// imodelhub: before it. Repeat it for several
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Wanted>,
    /// Write a recording of the ftrack events, for `hubctl replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Accept addresses that other machines reach. Nothing is encrypted; the inspector asks for a token then, that of
    /// HUBCTL_INSPECTOR_TOKEN or a new one
    #[arg(long)]
    allow_remote: bool,
    /// A host name under which this is reached, besides localhost; repeat it for several
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Write the addresses as JSON into this file when they are served
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

fn user(text: &str) -> std::result::Result<(String, Secret), &'static str> {
    match text.rsplit_once(':') {
        Some((name, key)) if !name.is_empty() && !key.is_empty() => {
            Ok((name.to_owned(), key.to_owned().into()))
        }
        _ => Err("write it as NAME:KEY"),
    }
}

pub(crate) async fn run(args: Args) -> Result {
    let seed = args.seed.as_deref().map(Seed::read).transpose()?;
    let recorder = args.record.as_deref().map(Recorder::create).transpose()?;
    let mut builder = services(&args);
    if let Some(recorder) = &recorder {
        builder = builder.witness(recorder.witness());
    }
    let emulator = builder
        .start()
        .await
        .map_err(|error| failure(&error, "other ports: --ftrack 127.0.0.1:0 --imodelhub 127.0.0.1:0"))?;
    let inspector = inspector(&args, &emulator).await?;
    // The seed first: no fault is meant for it.
    if let Some(seed) = &seed {
        seed.plant(&emulator).await?;
    }
    for fault in args.fault {
        fault.set(&emulator)?;
    }
    let end = signals::end();
    tokio::pin!(end);
    tell(&emulator, inspector.as_ref())?;
    if let Some(file) = &args.ready_file {
        let page = inspector.as_ref().map(Inspector::url);
        let urls = serde_json::json!({
            "ftrack": emulator.ftrack_url(), "imodelhub": emulator.imodelhub_url(), "inspector": page,
        });
        // Whoever waits for the file must not see half of it.
        let part = file.with_extension("part");
        tokio::fs::write(&part, urls.to_string()).await?;
        tokio::fs::rename(&part, file).await?;
    }
    end.await;
    if let Some(inspector) = inspector {
        inspector.stop().await;
    }
    emulator.stop().await;
    drop(emulator);
    match recorder {
        Some(recorder) => recorder.finish().await,
        None => Ok(()),
    }
}

fn services(args: &Args) -> Builder {
    let mut builder = Emulator::builder()
        .ftrack_addr(args.ftrack)
        .imodelhub_addr(args.imodelhub)
        .allow_remote(args.allow_remote);
    for (name, key) in &args.user {
        builder = builder.user(name.as_str(), key.clone());
    }
    args.allow_host.iter().fold(builder, Builder::allow_host)
}

async fn inspector(args: &Args, emulator: &Emulator) -> Result<Option<Inspector>> {
    if args.no_inspector {
        return Ok(None);
    }
    let mut builder =
        Inspector::builder().addr(args.inspector).read_only(args.read_only).allow_remote(args.allow_remote);
    if let Ok(token) = std::env::var(TOKEN)
        && !token.is_empty()
    {
        builder = builder.token(token);
    }
    for host in &args.allow_host {
        builder = builder.allow_host(host);
    }
    let started = builder.start(emulator).await;
    started
        .map(Some)
        .map_err(|error| failure(&error, "another port: --inspector 127.0.0.1:0, or --no-inspector"))
}

/// With what helps against it.
fn failure(error: &Error, other_port: &str) -> Failure {
    let failure = Failure::new(Exit::Failed, error.to_string());
    match error.kind() {
        ErrorKind::AddressInUse | ErrorKind::Bind => failure.next(other_port),
        ErrorKind::NotLoopback => failure.next("--allow-remote, if other machines are to reach it"),
        _ => failure,
    }
}

fn tell(emulator: &Emulator, inspector: Option<&Inspector>) -> Result {
    let (ftrack, imodelhub) = (emulator.ftrack_url(), emulator.imodelhub_url());
    let mut out = Writer::stdout(Format::Line);
    out.text(&format!("ftrack     {ftrack}"))?;
    out.text(&format!("iModelHub  {imodelhub}"))?;
    if let Some(inspector) = inspector {
        // The page takes the token from the fragment, which no server and no log of one sees.
        let token = inspector.token().map(|token| format!("#{}", token.expose())).unwrap_or_default();
        out.text(&format!("inspector  {}{token}", inspector.url()))?;
    }
    out.text("\nany user and key will do, unless --user was given:\n")?;
    out.text(&format!("  export FTRACK_SERVER={ftrack} FTRACK_API_USER=me FTRACK_API_KEY=any"))?;
    out.text(&format!("  export IMODELHUB_URL={imodelhub} IMODELHUB_TOKEN=any"))?;
    out.flush()
}
