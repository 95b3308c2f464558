//! A measured party: this program again, in a process of its own, which takes commands as the foreign ones do:
//! lines of JSON on standard input, answers as lines of JSON on standard output.

use std::io::Write as _;

use async_trait::async_trait;
use interop::Failure;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::usage;

/// One of ours.
#[async_trait]
pub trait Party: Send {
    /// Does what it is told and gives the answer.
    async fn call(&mut self, what: &str, args: &Value) -> Result<Value, Failure>;
}

/// Obeys until standard input ends.
///
/// # Errors
///
/// When standard input or output fails.
pub async fn obey(mut party: impl Party) -> std::io::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let Ok(args) = serde_json::from_str::<Value>(&line) else { continue };
        let what = args["do"].as_str().unwrap_or_default();
        let outcome = if what == "usage" { Ok(usage::report()) } else { party.call(what, &args).await };
        let answer = match outcome {
            Ok(answer) => json!({ "call": args["call"], "ok": answer }),
            Err(failure) => {
                json!({ "call": args["call"], "error": "Failure", "message": failure.to_string() })
            }
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// A member that must be a whole number.
///
/// # Errors
///
/// When it is not there.
pub fn number(args: &Value, name: &str) -> Result<u64, Failure> {
    args[name].as_u64().ok_or_else(|| Failure::new(format!("\"{name}\" must be a number")))
}

/// A member that must be text.
///
/// # Errors
///
/// When it is not there.
pub fn text<'a>(args: &'a Value, name: &str) -> Result<&'a str, Failure> {
    args[name].as_str().ok_or_else(|| Failure::new(format!("\"{name}\" must be text")))
}

/// The answer to a command that is not known.
///
/// # Errors
///
/// Always.
pub fn unknown(what: &str) -> Result<Value, Failure> {
    Err(Failure::new(format!("\"{what}\" is not a command of this party")))
}

/// An error of any kind as a failure.
pub fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

/// A stretch of work: its time, and the processor time it took.
#[derive(Debug)]
pub struct Stretch {
    began: std::time::Instant,
    cpu_us: f64,
}

impl Stretch {
    /// It begins now.
    #[expect(clippy::disallowed_methods, reason = "measures")]
    pub fn begin() -> Self {
        Self { began: std::time::Instant::now(), cpu_us: usage::cpu_us() }
    }

    /// It ends now: an answer with `events`, `seconds`, `cpu_us` and `peak_kib`.
    pub fn end(&self, events: u64) -> Value {
        let cpu_us = usage::cpu_us() - self.cpu_us;
        let seconds = self.began.elapsed().as_secs_f64();
        json!({ "events": events, "seconds": seconds, "cpu_us": cpu_us, "peak_kib": usage::peak_kib() })
    }
}
