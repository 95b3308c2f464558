//! Whether and how an action is offered.

use event_core::{Error, ErrorKind, Result};

use crate::events::{ActionItem, Selected};

/// What an action's `on_discover` says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Offer {
    /// Nothing for this selection.
    No,
    /// The item that the builder describes.
    Yes,
    /// These items. Where one has no identifier, it launches this action.
    Items(Vec<ActionItem>),
}

/// What an `on_discover` function may return: whether to offer the action, or items, or a failure to find out.
pub trait IntoOffer {
    /// The offer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Handler`]; the action is then not offered, and the failure is counted and reported.
    fn into_offer(self) -> Result<Offer>;
}

impl IntoOffer for Offer {
    fn into_offer(self) -> Result<Offer> {
        Ok(self)
    }
}

impl IntoOffer for bool {
    fn into_offer(self) -> Result<Offer> {
        Ok(if self { Offer::Yes } else { Offer::No })
    }
}

impl IntoOffer for ActionItem {
    fn into_offer(self) -> Result<Offer> {
        Ok(Offer::Items(vec![self]))
    }
}

impl IntoOffer for Vec<ActionItem> {
    fn into_offer(self) -> Result<Offer> {
        Ok(if self.is_empty() { Offer::No } else { Offer::Items(self) })
    }
}

impl<T: IntoOffer, E: Into<Box<dyn std::error::Error + Send + Sync>>> IntoOffer for Result<T, E> {
    fn into_offer(self) -> Result<Offer> {
        match self {
            Ok(offer) => offer.into_offer(),
            Err(cause) => {
                let cause = cause.into();
                let message = format!("the action could not say whether it is offered: {cause}");
                Err(Error::new(ErrorKind::Handler, "discover action", message).with_source(cause))
            }
        }
    }
}

/// For which selections an action is offered.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Types of which every selected entity must be one; none: anything goes.
    pub(super) types: Vec<String>,
    /// Exactly one entity.
    pub(super) single: bool,
}

impl Scope {
    pub(super) fn includes(&self, selection: &[Selected]) -> bool {
        let wanted_type = |entity: &Selected| {
            entity.kind.value().is_some_and(|kind| self.types.iter().any(|wanted| kind.is(wanted)))
        };
        let fits = self.types.is_empty() || (!selection.is_empty() && selection.iter().all(wanted_type));
        fits && (!self.single || selection.len() == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_must_be_of_the_types_entirely() {
        let select = |kinds: &[&str]| kinds.iter().map(|kind| Selected::new("1", *kind)).collect::<Vec<_>>();
        let versions = Scope { types: vec!["AssetVersion".to_owned(), "Project".to_owned()], single: false };
        for (kinds, included) in [
            (&["assetversion"][..], true),
            (&["assetversion", "show"], true),
            (&["assetversion", "task"], false),
            (&[], false),
        ] {
            assert_eq!(versions.includes(&select(kinds)), included, "{kinds:?}");
        }
        let one = Scope { types: Vec::new(), single: true };
        assert!(one.includes(&select(&["task"])) && !one.includes(&select(&[])));
        assert!(!one.includes(&select(&["task", "task"])) && Scope::default().includes(&[]));
    }
}
