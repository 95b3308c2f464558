//! One file for each command.

pub(crate) mod bridge;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod imodel;
pub(crate) mod journal;
pub(crate) mod man;
pub(crate) mod publish;
pub(crate) mod replay;
pub(crate) mod request;
pub(crate) mod respond;
pub(crate) mod serve;
pub(crate) mod tail;

use ftrack_hub::Expression;

use crate::cli::{Cli, Command};
use crate::exit::{Failure, Result};

/// Runs the command that was asked for.
pub(crate) async fn run(cli: Cli) -> Result {
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Tail(args) => tail::run(args).await,
        Command::Publish(args) => publish::run(args).await,
        Command::Request(args) => request::run(args).await,
        Command::Respond(args) => respond::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Bridge(args) => bridge::run(args).await,
        Command::Check(args) => check::run(&args),
        Command::Imodel(command) => imodel::run(command).await,
        Command::Journal(command) => journal::run(command).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// An expression of the command line; what is wrong with it is shown with its place.
pub(crate) fn expression(text: &str) -> Result<Expression> {
    Expression::parse(text).map_err(|error| {
        Failure::usage(format!("the expression does not parse: {error}\n\n{}\n", error.caret()))
            .next("hubctl check, which shows how an expression is read")
    })
}

/// Any of these expressions; without one, everything.
pub(crate) fn any_of(texts: &[String]) -> Result<Expression> {
    if texts.is_empty() {
        return expression("topic=*");
    }
    let all = texts.iter().map(|text| expression(text)).collect::<Result<Vec<_>>>()?;
    Expression::any(all).map_err(|error| Failure::usage(error.to_string()))
}

/// Seconds of the command line, which may be fractions.
pub(crate) fn seconds(text: &str) -> std::result::Result<std::time::Duration, String> {
    let number: f64 = text.parse().map_err(|_| "write it as seconds, such as 2.5".to_owned())?;
    std::time::Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
