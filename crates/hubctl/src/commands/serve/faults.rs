//! Faults as they are written on the command line.

use std::str::FromStr;

use hub_emulator::{Emulator, ftrack, imodelhub};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::exit::{Failure, Result};

/// What comes before a fault of the iModelHub side.
const IMODELHUB: &str = "imodelhub:";

/// A fault of either side.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Ftrack(ftrack::Fault),
    IModelHub(imodelhub::Fault),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.strip_prefix(IMODELHUB) {
            Some(fault) => read(fault).map(Self::IModelHub),
            None => read(text).map(Self::Ftrack),
        }
    }
}

/// JSON, or the name of an action that needs no more.
fn read<T: DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    let fault = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))?
    } else {
        json!({"action": {"do": text}})
    };
    serde_json::from_value(fault).map_err(|error| format!("this is no fault: {error}"))
}

impl Wanted {
    pub(super) fn set(self, emulator: &Emulator) -> Result {
        let set = match self {
            Self::Ftrack(fault) => emulator.ftrack_faults().add(fault),
            Self::IModelHub(fault) => emulator.add_fault(fault),
        };
        set.map_err(|error| Failure::usage(format!("--fault: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_name_or_json_and_belongs_to_a_side() {
        let parsed = |text: &str| text.parse::<Wanted>();
        let expected = ftrack::Fault::new(ftrack::Action::Reset);
        assert!(matches!(parsed("reset"), Ok(Wanted::Ftrack(fault)) if fault == expected));
        let expected = ftrack::Fault::new(ftrack::Action::Fin).times(3);
        let text = r#"{"action":{"do":"fin"},"times":3}"#;
        assert!(matches!(parsed(text), Ok(Wanted::Ftrack(fault)) if fault == expected));
        assert!(matches!(parsed("imodelhub:hang"), Ok(Wanted::IModelHub(_))));
        for (text, part) in [
            ("explode", "this is no fault: unknown variant `explode`"),
            ("imodelhub:half_open", "this is no fault: unknown variant"),
            ("{\"action\":", "this is not JSON"),
            ("{\"action\":{\"do\":\"reset\"},\"often\":1}", "unknown field `often`"),
            ("status", "missing field `status`"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
