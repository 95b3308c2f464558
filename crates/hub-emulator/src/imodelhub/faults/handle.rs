//! The handle by which faults are set.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dial::Dial;
use super::fault::Fault;
use crate::error::{Error, ErrorKind};
use crate::faults::{Bugginess, Turned};
use crate::imodelhub::Hub;

/// The fault dial of the iModelHub side; made by
/// [`Emulator::imodelhub_faults`](crate::Emulator::imodelhub_faults). Clones turn the same dial.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Hub>);

impl Faults {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self(hub)
    }

    /// Makes something go wrong with requests to come; the oldest fault that fits a request hits it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidFault`]: it cannot be so, or 1,000 faults wait already.
    pub fn add(&self, fault: Fault) -> Result<(), Error> {
        self.0
            .with_dial(|dial| dial.add(fault))
            .map_err(|message| Error::new(ErrorKind::InvalidFault, message))
    }

    /// Makes faults hit by chance those requests that no fault waits for; a probability of 0 ends that.
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

    /// Forgets the faults that wait, and chance; says how many faults there were.
    pub fn clear(&self) -> usize {
        self.0.with_dial(Dial::clear)
    }

    /// The faults that wait, with what is left of their skips and times.
    pub fn waiting(&self) -> Vec<Fault> {
        self.0.see_dial(|dial| dial.waiting().collect())
    }

    /// How often what fired, by the names of [`Action::name`](super::Action::name). The counts never go down.
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
