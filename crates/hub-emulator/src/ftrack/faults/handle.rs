//! The handle by which faults are set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::action::Action;
use super::dial::Dial;
use super::fault::Fault;
use crate::error::{Error, ErrorKind};
use crate::faults::{Bugginess, Turned};
use crate::ftrack::Hub;

/// The fault dial of the ftrack side; made by [`Emulator::ftrack_faults`](crate::Emulator::ftrack_faults). Clones turn
/// the same dial.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Hub>);

impl Faults {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self(hub)
    }

    /// Makes something go wrong with connections to come. All faults that fit a connection strike it, oldest first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidFault`]: it cannot be so, or 1,000 faults wait already.
    pub fn add(&self, fault: Fault) -> Result<(), Error> {
        self.0
            .with_dial(|dial| dial.add(fault))
            .map_err(|message| Error::new(ErrorKind::InvalidFault, message))
    }

    /// Does this to every open event connection, now; says to how many.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidFault`]: it cannot be so, or is nothing that an open connection can suffer.
    #[expect(clippy::needless_pass_by_value, reason = "an action is written where it is fired")]
    pub fn fire(&self, action: Action) -> Result<usize, Error> {
        self.0.fire(&action, None)
    }

    /// The same to one, by its number in [`Emulator::connections`](crate::Emulator::connections); says whether it is
    /// there.
    ///
    /// # Errors
    ///
    /// As for [`Faults::fire`].
    #[expect(clippy::needless_pass_by_value, reason = "an action is written where it is fired")]
    pub fn fire_at(&self, connection: u64, action: Action) -> Result<bool, Error> {
        self.0.fire(&action, Some(connection)).map(|hit| hit > 0)
    }

    /// From now on the service is up for so long, then down for so long, and so on. Down means: every event
    /// connection ends with a FIN, handshakes are forgotten, and new connections are refused. Zero is taken for a
    /// millisecond. [`Faults::clear`] ends it.
    pub fn flap(&self, up: Duration, down: Duration) {
        let least = Duration::from_millis(1);
        self.0.flap(up.max(least), down.max(least));
    }

    /// Puts out the event connections open now with `0::`, one after the other, oldest first, with this pause
    /// between: a cluster that is restarted node by node. Says how many there are.
    pub fn rolling_restart(&self, pause: Duration) -> usize {
        self.0.rolling_restart(pause)
    }

    /// Makes faults strike by chance; a probability of 0 ends that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidFault`] when the probability is not 0 to 1.
    pub fn bugginess(&self, bugginess: &Bugginess) -> Result<(), Error> {
        bugginess.check()?;
        self.0.with_dial(|dial| dial.set_bugginess(bugginess));
        Ok(())
    }

    /// These faults instead of those that wait.
    ///
    /// # Errors
    ///
    /// As for [`Faults::add`]; nothing has changed then.
    pub fn set(&self, faults: Vec<Fault>) -> Result<(), Error> {
        self.0
            .with_dial(|dial| dial.set(faults))
            .map_err(|message| Error::new(ErrorKind::InvalidFault, message))
    }

    /// Forgets the faults that wait, chance and flapping; says how many faults there were. What has struck a
    /// connection stays with it.
    pub fn clear(&self) -> usize {
        self.0.with_dial(Dial::clear)
    }

    /// The faults that wait, with what is left of their skips and times.
    pub fn waiting(&self) -> Vec<Fault> {
        self.0.see_dial(|dial| dial.waiting().collect())
    }

    /// How often what fired, by the names of [`Action::name`], and `flap` and `rolling_restart`. Acknowledgements
    /// count one by one. The counts never go down.
    pub fn fired(&self) -> BTreeMap<&'static str, u64> {
        self.0.see_dial(|dial| dial.fired.counts())
    }
}

impl Turned for Faults {
    type Fault = Fault;

    fn add(&self, fault: Fault) -> Result<(), Error> {
        self.add(fault)
    }

    fn set(&self, faults: Vec<Fault>) -> Result<(), Error> {
        self.set(faults)
    }

    fn clear(&self) -> usize {
        self.clear()
    }

    fn waiting(&self) -> Vec<Fault> {
        self.waiting()
    }

    fn fired(&self) -> BTreeMap<&'static str, u64> {
        self.fired()
    }

    fn bugginess(&self) -> Option<Bugginess> {
        self.0.with_dial(|dial| dial.bugginess())
    }

    fn set_bugginess(&self, bugginess: &Bugginess) -> Result<(), Error> {
        self.bugginess(bugginess)
    }
}
