//! `hubctl bridge`.

use std::path::PathBuf;
use std::time::Duration;

use event_bridge::{Bridge, BridgeBuilder, Report, Reports, Stats, Told};
use ftrack_hub::nats::{Credentials, JetStream, NatsTransport, NewStream};

use crate::connection::{Connection, Login};
use crate::exit::{Exit, Failure, Result};
use crate::output::{Output, Writer, now};
use crate::profiles::Profile;
use crate::{signals, text};

/// How long a drain may take.
const DRAIN: Duration = Duration::from_secs(10);
/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// After so many refusals an event is a dead letter, where those are kept.
const DELIVERIES: u32 = 10;

const EXAMPLE: &str = r#"Start it on two machines: one is active, the other waits. Ctrl-C hands over.

  hubctl bridge --nats nats://n1,nats://n2,nats://n3 --stream EVENTS --create --replicas 3

The same in a profile of the configuration file:

  [profiles.studio]
  server = "https://studio.ftrackapp.com"
  user = "bridge"
  key_file = "bridge.key"
  nats = ["nats://n1", "nats://n2", "nats://n3"]
  nats_credentials = "bridge.creds""#;

/// Brings events of the hub into a stream of NATS JetStream, and those that workers publish there back. Shows what goes
/// through, and who is active.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Servers of NATS, such as nats://host:4222; several with commas between them
    #[arg(long, env = "NATS_URL", value_name = "URL", value_delimiter = ',', hide_env_values = true)]
    nats: Vec<String>,
    /// File with credentials for NATS, as nsc writes it
    #[arg(long, value_name = "FILE")]
    nats_credentials: Option<PathBuf>,
    /// The stream that keeps the events
    #[arg(long, value_name = "NAME", default_value = "EVENTS")]
    stream: String,
    /// Create the stream if it is not there
    #[arg(long)]
    create: bool,
    /// Keep events of the stream that the hub has refused ten times, below this subject; with --create their stream is
    /// created, too. Without it they come again for ever
    #[arg(long, value_name = "SUBJECT")]
    dead_letters: Option<String>,
    /// How many servers keep the lease, and a stream that is created
    #[arg(long, value_name = "N", default_value = "1")]
    replicas: usize,
    /// Below which subject the events are
    #[arg(long, value_name = "SUBJECT", default_value = "events")]
    prefix: String,
    /// What bridges that take over from each other share
    #[arg(long, value_name = "NAME", default_value = "ftrack")]
    name: String,
    /// What this one is called. Default: the host and the number of the process
    #[arg(long, value_name = "NAME")]
    holder: Option<String>,
    /// Which events of the hub go into the stream
    #[arg(long, value_name = "EXPR", default_value = "topic=*")]
    forward: String,
    /// Which events of the stream go to the hub
    #[arg(long, value_name = "EXPR", default_value = "topic=*")]
    back: String,
    /// Bring nothing back
    #[arg(long, conflicts_with = "back")]
    forward_only: bool,
    /// How long the lease lasts without being renewed; the same for all bridges of a name
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds, default_value = "10")]
    lease: Duration,
    /// Show only changes, not what goes through
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> Result {
    let profile = args.connection.profile()?;
    let login = args.connection.login()?;
    let mut out = Writer::stdout(args.output.format());
    let quiet = args.quiet;
    let bridge = args.builder(&profile, login)?.start()?;
    let mut reports = bridge.reports();
    let end = signals::end();
    tokio::pin!(end);
    loop {
        tokio::select! {
            biased;
            () = &mut end => break,
            told = reports.next() => show(&mut out, told, quiet)?,
        }
        if reports.is_empty() {
            out.flush()?;
        }
    }
    leave(bridge, &mut out, reports, quiet).await
}

/// Hands over, and says what it came to.
async fn leave(bridge: Bridge, out: &mut Writer, mut reports: Reports, quiet: bool) -> Result {
    let stats = bridge.stats();
    let draining = bridge.drain(DRAIN);
    tokio::pin!(draining);
    let drained = loop {
        tokio::select! {
            drained = &mut draining => break drained,
            told = reports.next() => show(out, told, quiet)?,
        }
    };
    let Stats { forwarded, returned, gaps, .. } = stats;
    let ended = format!("ended: {forwarded} forwarded, {returned} brought back, {gaps} gap(s)");
    out.notice("ended", &ended, now)?;
    out.flush()?;
    if drained {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Timeout,
        format!("not everything was done within {DRAIN:?}; the next bridge goes on"),
    ))
}

impl Args {
    fn builder(self, profile: &Profile, login: Login) -> Result<BridgeBuilder> {
        let (forward, back) = (super::expression(&self.forward)?, super::expression(&self.back)?);
        let servers = if self.nats.is_empty() { profile.nats.clone() } else { self.nats };
        if servers.is_empty() {
            return Err(Failure::usage("no server of NATS: give --nats or NATS_URL, or `nats` in a profile"));
        }
        let mut jetstream = JetStream::new(self.stream);
        if self.create {
            jetstream = jetstream.create(NewStream::default().replicas(self.replicas));
        }
        if let Some(prefix) = self.dead_letters {
            jetstream = jetstream.delivery_limit(DELIVERIES).dead_letters(prefix);
        }
        let mut nats = NatsTransport::builder(servers).prefix(self.prefix).jetstream(jetstream);
        if let Some(file) = self.nats_credentials.or(profile.nats_credentials.clone()) {
            nats = nats.credentials(Credentials::File(file));
        }
        // What cannot be used is said now, not at the beginning of the first term.
        login.session(TIMEOUT)?;
        let service = move || login.bridged(TIMEOUT);
        let holder = self.holder.unwrap_or_else(holder);
        let builder = Bridge::builder(self.name, service, nats).holder(holder).forward(forward);
        let builder = builder.lease(self.lease).lease_replicas(self.replicas);
        Ok(if self.forward_only { builder.forward_only() } else { builder.back(back) })
    }
}

fn holder() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "a process".to_owned());
    format!("{host}/{}", std::process::id())
}

fn show(out: &mut Writer, told: Option<Told>, quiet: bool) -> Result {
    let (name, said) = match told {
        Some(Told::Happened(report)) => match report {
            Report::Forwarded(event) if !quiet => return out.event(&event, || format!("{} forward", now())),
            Report::Returned(event) if !quiet => return out.event(&event, || format!("{} back   ", now())),
            Report::Waiting { holder } => ("waiting", format!("waiting: {} is active", text::plain(&holder))),
            Report::Won => ("won", "the lease is won; connecting".to_owned()),
            Report::Active => ("active", "active".to_owned()),
            Report::Lost => ("lost", "the lease is lost; nothing goes through any more".to_owned()),
            Report::Resigned(error) => ("resigned", format!("the lease is given back: {error}")),
            Report::Gap(gap) => {
                let lasted = Duration::from_millis(gap.to.saturating_sub(gap.from));
                let shown = crate::output::seconds(lasted);
                ("gap", format!("events of {shown} may be missing: {}", gap.reason))
            }
            Report::Problem(error) => ("problem", error.to_string()),
            _ => return Ok(()),
        },
        Some(Told::Missed(missed)) => {
            ("missed", format!("the output is too slow: {missed} line(s) left out"))
        }
        _ => return Ok(()),
    };
    out.notice(name, &said, now)?;
    out.flush()
}
