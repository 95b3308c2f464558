//! The measurements. Every one starts its parties in turn, round by round.

mod build;
mod expressions;
mod fanout;
mod memory;
mod others;
mod poll;
mod publish;
mod receive;
mod request;
mod start;
mod tail;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use interop::Failure;

use crate::figures::Measurement;
use crate::stage::Stage;

type Run = for<'a> fn(&'a Stage) -> BoxFuture<'a, Result<Measurement, Failure>>;

/// The measurements by their letters.
pub const ALL: [(&str, Run); 11] = [
    ("a", |stage| receive::run(stage).boxed()),
    ("b", |stage| others::run(stage).boxed()),
    ("c", |stage| publish::run(stage).boxed()),
    ("d", |stage| request::run(stage).boxed()),
    ("e", |stage| poll::run(stage).boxed()),
    ("f", |stage| expressions::run(stage).boxed()),
    ("g", |stage| fanout::run(stage).boxed()),
    ("h", |stage| memory::run(stage).boxed()),
    ("i", |stage| start::run(stage).boxed()),
    ("j", |stage| build::run(stage).boxed()),
    ("k", |stage| tail::run(stage).boxed()),
];
