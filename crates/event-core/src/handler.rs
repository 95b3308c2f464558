//! Handlers and what they may return.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use crate::hub::Context;
use crate::{Error, ErrorKind, Event, RawJson, Result};

/// What a handler's return value means as a reply.
///
/// | returned | reply |
/// |---|---|
/// | `()`, `None`, JSON `null` | none |
/// | [`Json`] of anything that serialises, [`Value`], [`RawJson`] | that |
/// | `Some(x)`, `Ok(x)` | what `x` means |
/// | `Err(e)` | none; the failure is counted and reported |
pub trait IntoReply {
    /// The reply's data; `Ok(None)` for no reply.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Handler`] when the handler failed, [`ErrorKind::InvalidInput`] when its value has no JSON
    /// form.
    fn into_reply(self) -> Result<Option<RawJson>>;
}

/// Wraps a value that a handler returns as its reply.
///
/// ```
/// use event_core::{IntoReply, Json};
/// use serde_json::json;
///
/// assert_eq!(Json([1, 2]).into_reply()?.unwrap().as_str(), "[1,2]");
/// assert!(Json(json!(null)).into_reply()?.is_none());
/// assert!(().into_reply()?.is_none());
/// # Ok::<(), event_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl IntoReply for () {
    fn into_reply(self) -> Result<Option<RawJson>> {
        Ok(None)
    }
}

impl IntoReply for RawJson {
    fn into_reply(self) -> Result<Option<RawJson>> {
        Ok(if self.is_null() { None } else { Some(self) })
    }
}

impl<T: Serialize> IntoReply for Json<T> {
    fn into_reply(self) -> Result<Option<RawJson>> {
        RawJson::from_serialize(&self.0)?.into_reply()
    }
}

impl IntoReply for Value {
    fn into_reply(self) -> Result<Option<RawJson>> {
        Json(self).into_reply()
    }
}

impl<T: IntoReply> IntoReply for Option<T> {
    fn into_reply(self) -> Result<Option<RawJson>> {
        self.map_or(Ok(None), T::into_reply)
    }
}

impl<T, E> IntoReply for Result<T, E>
where
    T: IntoReply,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn into_reply(self) -> Result<Option<RawJson>> {
        match self {
            Ok(value) => value.into_reply(),
            Err(cause) => {
                let cause = cause.into();
                Err(Error::new(ErrorKind::Handler, "handle event", format!("the handler failed: {cause}"))
                    .with_source(cause))
            }
        }
    }
}

/// A handler of any of the three forms.
pub(crate) type BoxedHandler =
    Arc<dyn Fn(Event, Context) -> BoxFuture<'static, Result<Option<RawJson>>> + Send + Sync>;

/// Boxes a handler that takes the event and its context.
pub(crate) fn boxed<F, Fut>(handler: F) -> BoxedHandler
where
    F: Fn(Event, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoReply> + Send + 'static,
{
    Arc::new(move |event, context| {
        let handling = handler(event, context);
        Box::pin(async move { handling.await.into_reply() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(reply: Result<Option<RawJson>>) -> Option<String> {
        reply.unwrap().map(|raw| raw.as_str().to_owned())
    }

    #[test]
    fn null_in_any_form_means_no_reply() {
        assert_eq!(text(Json(()).into_reply()), None);
        assert_eq!(text(json!(null).into_reply()), None);
        assert_eq!(text(Some(Json(None::<u8>)).into_reply()), None);
        assert_eq!(text(None::<Json<u8>>.into_reply()), None);
        assert_eq!(text(Ok::<_, Error>(Some(json!({"a": 1}))).into_reply()), Some("{\"a\":1}".to_owned()));
        assert_eq!(text(json!(false).into_reply()), Some("false".to_owned()));
    }

    #[test]
    fn a_failure_says_why() {
        let error = Err::<(), _>("disk full").into_reply().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Handler);
        assert!(error.to_string().contains("disk full"));
    }
}
