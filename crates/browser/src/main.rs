//! `browser`: plays with the inspector's page in Chromium, and prints what held.
//!
//! [`driver`] is the browser, [`stage`] the hubs and their clients, [`checks`] what must hold; [`load`] measures the page
//! under many events, [`pictures`] takes the pictures of the documentation, [`actors`] say what studios say.
#![expect(clippy::print_stdout, reason = "a command-line tool reports on standard output")]

mod actors;
mod checks;
mod driver;
mod load;
mod pictures;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use driver::{Browser, Tools};

/// Whatever goes wrong, in words.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The inspector's page in a real browser.
#[derive(Debug, Parser)]
struct Args {
    /// A missing browser is a failure
    #[arg(long)]
    require: bool,
    /// Measure the page for so many seconds
    #[arg(long, value_name = "SECONDS")]
    load: Option<u64>,
    /// How many events a second the page is measured with
    #[arg(long, value_name = "EVENTS", default_value_t = 1_000)]
    rate: u64,
    /// Take the pictures of the documentation
    #[arg(long)]
    screenshots: bool,
    /// Where pictures go
    #[arg(long, value_name = "FOLDER", default_value = "docs/images")]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(missing) => {
            println!("skipped: {missing} (on Debian: apt-get install chromium chromium-driver)");
            return if args.require { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match play(&args, &tools).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            println!("browser: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn play(args: &Args, tools: &Tools) -> Result<bool, Failure> {
    if args.screenshots {
        let browser = Browser::start(tools).await?;
        let taken = pictures::take(&browser, &args.folder).await;
        browser.close().await?;
        taken?;
        println!("two pictures are in {}", args.folder.display());
        return Ok(true);
    }
    if let Some(seconds) = args.load {
        let browser = Browser::start(tools).await?;
        let figures = load::measure(&browser, args.rate, seconds).await;
        browser.close().await?;
        let figures = figures?;
        println!("{figures}");
        return Ok(figures.is_whole());
    }
    checks::run(tools, |line| println!("{line}")).await
}
