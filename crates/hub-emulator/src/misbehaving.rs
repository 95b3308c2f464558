//! What an emulator can be made to do wrong, on either side.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Error;
use crate::faults::{Bugginess, Defect};
use crate::{Emulator, ftrack};

/// Misbehaviour.
impl Emulator {
    /// The fault dial of the ftrack side.
    pub fn ftrack_faults(&self) -> ftrack::Faults {
        ftrack::Faults::new(Arc::clone(&self.hub))
    }

    /// How often what fired on both sides: the counts of [`Emulator::ftrack_faults`] and
    /// [`Emulator::imodelhub_faults`], under names such as `ftrack.reset` and `imodelhub.status`.
    pub fn fired(&self) -> BTreeMap<String, u64> {
        let (ftrack, imodelhub) = (self.ftrack_faults().fired(), self.imodelhub_faults().fired());
        let named = |side: &'static str, counts: BTreeMap<&'static str, u64>| {
            counts.into_iter().map(move |(name, count)| (format!("{side}.{name}"), count))
        };
        named("ftrack", ftrack).chain(named("imodelhub", imodelhub)).collect()
    }

    /// Makes faults strike by chance on both sides; a probability of 0 ends that. Each side draws on its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidFault`](crate::ErrorKind::InvalidFault) when the probability is not 0 to 1.
    pub fn bugginess(&self, bugginess: &Bugginess) -> Result<(), Error> {
        self.ftrack_faults().bugginess(bugginess)?;
        self.imodelhub_faults().bugginess(bugginess)
    }

    /// Switches a lasting flaw on or off.
    pub fn set_defect(&self, defect: Defect, on: bool) {
        self.defects.set(defect, on);
    }

    /// The flaws that are on.
    pub fn defects(&self) -> Vec<Defect> {
        self.defects.all()
    }
}
