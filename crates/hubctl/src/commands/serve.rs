//! `hubctl serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use ftrack_hub::Secret;
use hub_emulator::Emulator;

use crate::exit::{Exit, Failure, Result};
use crate::output::{Format, Writer};
use crate::signals;

/// Runs both emulated services until Ctrl-C, and prints what to set to reach them. They keep nothing when they end.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where ftrack clients connect; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7010")]
    ftrack: SocketAddr,
    /// Where iModelHub clients connect; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7011")]
    imodelhub: SocketAddr,
    /// A user that may connect; repeat it for several. Default: every name and key
    #[arg(long, value_name = "NAME:KEY", value_parser = user)]
    user: Vec<(String, Secret)>,
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
    let mut builder = Emulator::builder().ftrack_addr(args.ftrack).imodelhub_addr(args.imodelhub);
    for (name, key) in args.user {
        builder = builder.user(name, key);
    }
    let emulator = builder.start().await.map_err(|error| {
        Failure::new(Exit::Failed, error.to_string())
            .next("other ports: --ftrack 127.0.0.1:0 --imodelhub 127.0.0.1:0")
    })?;
    let end = signals::end();
    tokio::pin!(end);
    let (ftrack, imodelhub) = (emulator.ftrack_url(), emulator.imodelhub_url());
    let mut out = Writer::stdout(Format::Line);
    out.text(&format!("ftrack     {ftrack}"))?;
    out.text(&format!("iModelHub  {imodelhub}"))?;
    out.text("\nany user and key will do, unless --user was given:\n")?;
    out.text(&format!("  export FTRACK_SERVER={ftrack} FTRACK_API_USER=me FTRACK_API_KEY=any"))?;
    out.text(&format!("  export IMODELHUB_URL={imodelhub} IMODELHUB_TOKEN=any"))?;
    out.flush()?;
    if let Some(file) = &args.ready_file {
        let urls = serde_json::json!({"ftrack": ftrack, "imodelhub": imodelhub});
        // Whoever waits for the file must not see half of it.
        let part = file.with_extension("part");
        tokio::fs::write(&part, urls.to_string()).await?;
        tokio::fs::rename(&part, file).await?;
    }
    end.await;
    emulator.stop().await;
    Ok(())
}
