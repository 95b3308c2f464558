//! The real world as the judge: official clients against our emulator, our clients against a server we did not
//! write, recorded sessions, and the official expression matcher beside ours.
//!
//! ```no_run
//! # async fn example() -> Result<(), interop::Failure> {
//! let tools = interop::Tools::prepare().await?;
//! let report = interop::run(&interop::scenarios(), &tools).await;
//! assert!(report.is_clean());
//! # Ok(())
//! # }
//! ```
//!
//! One file for each judge; `puppet` drives a foreign process, `install` gets the software, `report` makes the tables.

mod actions;
mod bare;
mod differential;
mod ftrack;
mod imodelhub;
mod install;
mod puppet;
mod report;
mod socketio;
mod tap;
mod transcripts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use hub_emulator::{Builder, Defect, Emulator};
use parking_lot::Mutex;
use tokio::process::Command;

use puppet::LastWords;

pub use differential::{Classes, differential};
pub use install::{Tools, foreign_packages};
pub use puppet::Puppet;
pub use report::{Outcome, Report, defects_table};
pub use socketio::{Burst, burst};

/// How long one scenario may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// And with a defect, where failing is what is wanted; longer than the quietest scenario, which takes 17 s.
const PATIENCE_WITH_DEFECT: Duration = Duration::from_secs(30);
/// Scenarios at a time.
const SIDE_BY_SIDE: usize = 4;

/// Why a scenario failed, with what the foreign process wrote.
#[derive(Debug)]
pub struct Failure {
    message: String,
    output: String,
}

impl Failure {
    /// With these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), output: String::new() }
    }

    /// And this output of the foreign process.
    #[must_use]
    pub fn with_output(mut self, output: String) -> Self {
        self.output = output;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.output.is_empty() {
            write!(f, "\n  it wrote:\n    {}", self.output.replace('\n', "\n    "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl From<event_core::Error> for Failure {
    fn from(error: event_core::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<hub_emulator::Error> for Failure {
    fn from(error: hub_emulator::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Fails unless something holds.
pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(what())) }
}

/// What a scenario needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Node and the packages from npm.
    Node,
    /// Python and the packages from PyPI.
    Python,
    /// Both.
    Both,
}

/// What is judged by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// A foreign client against our emulator.
    EmulatorServes,
    /// Our client against a foreign server.
    ClientWorks,
    /// Our side against a recorded session.
    Transcript,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmulatorServes => "emulator serves",
            Self::ClientWorks => "client works with",
            Self::Transcript => "as recorded",
        })
    }
}

type Play = Box<dyn Fn(Stage) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// One thing that must work.
pub struct Scenario {
    /// The foreign software.
    pub with: &'static str,
    /// What is judged.
    pub direction: Direction,
    /// What must hold.
    pub name: String,
    /// What it needs.
    pub needs: Needs,
    play: Play,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.direction, self.with, self.name)
    }
}

impl Scenario {
    pub(crate) fn new<F>(
        direction: Direction,
        with: &'static str,
        needs: Needs,
        name: impl Into<String>,
        play: impl Fn(Stage) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let name = name.into().replace('_', " ");
        Self { with, direction, name, needs, play: Box::new(move |stage| play(stage).boxed()) }
    }
}

/// What a scenario is given.
#[derive(Clone, Debug)]
pub struct Stage {
    pub(crate) tools: Arc<Tools>,
    defect: Option<Defect>,
    /// The foreign processes of the scenario.
    started: Arc<Mutex<Vec<LastWords>>>,
}

impl Stage {
    fn new(tools: &Tools, defect: Option<Defect>) -> Self {
        Self { tools: Arc::new(tools.clone()), defect, started: Arc::default() }
    }

    /// The same for another scenario.
    fn another(&self) -> Self {
        Self { started: Arc::default(), ..self.clone() }
    }

    /// Starts a foreign process; what it wrote is shown if the scenario does not come to its end.
    pub(crate) fn puppet(&self, name: &'static str, command: Command) -> Result<Puppet, Failure> {
        let puppet = Puppet::start(name, command)?;
        self.started.lock().push(puppet.last_words());
        Ok(puppet)
    }

    /// An emulator as it is set up, with the defect of the run.
    pub(crate) async fn emulator(
        &self,
        set_up: impl FnOnce(Builder) -> Builder,
    ) -> Result<Emulator, Failure> {
        let emulator = set_up(Emulator::builder()).start().await?;
        if let Some(defect) = self.defect {
            emulator.set_defect(defect, true);
        }
        Ok(emulator)
    }
}

/// Every scenario.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = ftrack::scenarios();
    all.extend(actions::scenarios());
    all.extend(imodelhub::scenarios());
    all.extend(socketio::scenarios());
    all.extend(transcripts::scenarios());
    all
}

/// Plays scenarios, some at a time, each to its end or its deadline.
pub async fn run(scenarios: &[Scenario], tools: &Tools) -> Report {
    let stage = Stage::new(tools, None);
    let plays = scenarios.iter().map(|scenario| play(scenario, stage.another(), PATIENCE));
    Report::new(futures_util::stream::iter(plays).buffered(SIDE_BY_SIDE).collect().await)
}

/// Plays scenarios against an emulator with a defect, until so many have noticed it: their titles, and how many
/// were played. Noticed is what fails with the defect and, played again within the same time, passes without.
pub async fn notice(
    scenarios: &[Scenario],
    tools: &Tools,
    defect: Defect,
    enough: usize,
) -> (Vec<String>, usize) {
    let (sound, spoilt) = (Stage::new(tools, None), Stage::new(tools, Some(defect)));
    let of_ftrack = matches!(
        defect,
        Defect::WrongReplyTarget | Defect::AckAfterConsequence | Defect::AckDropped | Defect::IdOnEvents
    );
    let judges = scenarios.iter().filter(|scenario| {
        scenario.direction != Direction::ClientWorks && scenario.with.contains("ftrack") == of_ftrack
    });
    let plays = judges.map(|scenario| async {
        let with = play(scenario, spoilt.another(), PATIENCE_WITH_DEFECT).await;
        let noticed =
            with.is_failure() && play(scenario, sound.another(), PATIENCE_WITH_DEFECT).await.is_success();
        noticed.then(|| with.title())
    });
    let mut plays = futures_util::stream::iter(plays).buffer_unordered(SIDE_BY_SIDE);
    let (mut noticed, mut played) = (Vec::new(), 0);
    while let Some(outcome) = plays.next().await {
        played += 1;
        noticed.extend(outcome);
        if noticed.len() >= enough {
            break;
        }
    }
    (noticed, played)
}

#[expect(clippy::disallowed_methods, reason = "measures how long a scenario takes")]
async fn play(scenario: &Scenario, stage: Stage, patience: Duration) -> Outcome {
    let began = std::time::Instant::now();
    let missing = match scenario.needs {
        Needs::Nothing => None,
        Needs::Node => stage.tools.node.as_ref().err(),
        Needs::Python => stage.tools.python.as_ref().err(),
        Needs::Both => stage.tools.node.as_ref().err().or(stage.tools.python.as_ref().err()),
    };
    if let Some(missing) = missing {
        return Outcome::skipped(scenario, missing.clone());
    }
    let started = Arc::clone(&stage.started);
    let ended = tokio::time::timeout(patience, (scenario.play)(stage)).await;
    let result =
        ended.unwrap_or_else(|_| Err(Failure::new(format!("not done within {patience:?}; it was ended"))));
    let result = result.map_err(|failure| match failure.output.as_str() {
        "" => {
            let words: Vec<String> = started.lock().iter().filter_map(LastWords::text).collect();
            failure.with_output(words.join("\n"))
        }
        _ => failure,
    });
    Outcome::played(scenario, result, began.elapsed())
}
