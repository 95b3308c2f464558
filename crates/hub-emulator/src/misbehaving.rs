//! What an emulator can be made to do wrong.

use crate::faults::Defect;
use crate::{Emulator, ftrack};

/// Misbehaviour.
impl Emulator {
    /// The fault dial of the ftrack side.
    pub fn ftrack_faults(&self) -> ftrack::Faults {
        ftrack::Faults::new(std::sync::Arc::clone(&self.hub))
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
