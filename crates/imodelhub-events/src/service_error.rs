//! What the service says when it refuses, and what that means to a caller.

use std::fmt;
use std::time::Duration;

use event_core::{Error, ErrorKind, Retry};
use serde_json::Value;

/// The service's own words about a refusal. It is the [source](std::error::Error::source) of the [`Error`] that a
/// call returns; [`service_error`] finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceError {
    /// The HTTP status.
    pub status: u16,
    /// The service's name for the error, such as `iModelHub.EventSubscriptionDoesNotExist`.
    pub error_id: Option<String>,
    /// What the service says about it.
    pub message: String,
    /// What in the request it is about, where the service says that: the iTwin Platform does.
    pub details: Vec<ErrorDetail>,
}

/// What a refusal is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorDetail {
    /// The service's name for the mistake.
    pub code: String,
    /// What the service says about it.
    pub message: String,
    /// Where in the request it is.
    pub target: Option<String>,
}

/// What an error means to whoever made the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Trying again later can help.
    Retryable,
    /// Fresh credentials can help.
    Reauthenticate,
    /// What was asked for does not exist any more, or never did.
    Gone,
    /// The same call will fail again.
    Fatal,
}

/// The service's words behind an error, if it was the service that refused.
pub fn service_error(error: &Error) -> Option<&ServiceError> {
    std::error::Error::source(error)?.downcast_ref()
}

/// The names behind `iModelHub.`, in the order of their numbers, which begin at 102401.
const HUB_NAMES: [&str; 51] = [
    "Unknown",
    "MissingRequiredProperties",
    "InvalidPropertiesValues",
    "UserDoesNotHavePermission",
    "UserDoesNotHaveAccess",
    "InvalidBriefcase",
    "BriefcaseDoesNotExist",
    "BriefcaseDoesNotBelongToUser",
    "AnotherUserPushing",
    "ChangeSetAlreadyExists",
    "ChangeSetDoesNotExist",
    "FileIsNotUploaded",
    "iModelIsNotInitialized",
    "ChangeSetPointsToBadSeed",
    "OperationFailed",
    "PullIsRequired",
    "MaximumNumberOfBriefcasesPerUser",
    "MaximumNumberOfBriefcasesPerUserPerMinute",
    "DatabaseTemporarilyLocked",
    "iModelIsLocked",
    "CodesExist",
    "LocksExist",
    "iModelAlreadyExists",
    "iModelDoesNotExist",
    "FileDoesNotExist",
    "FileAlreadyExists",
    "LockDoesNotExist",
    "LockOwnedByAnotherBriefcase",
    "CodeStateInvalid",
    "CodeReservedByAnotherBriefcase",
    "CodeDoesNotExist",
    "EventTypeDoesNotExist",
    "EventSubscriptionDoesNotExist",
    "EventSubscriptionAlreadyExists",
    "ProjectIdIsNotSpecified",
    "FailedToGetProjectPermissions",
    "FailedToGetProjectMembers",
    "ChangeSetAlreadyHasVersion",
    "VersionAlreadyExists",
    "JobSchedulingFailed",
    "ConflictsAggregate",
    "FailedToGetProjectById",
    "DatabaseOperationFailed",
    "SeedFileInitializationFailed",
    "FailedToGetAssetPermissions",
    "FailedToGetAssetMembers",
    "ContextDoesNotExist",
    "FailedToGetProductSettings",
    "LockChunkDoesNotExist",
    "CheckpointAlreadyExists",
    "CheckpointDoesNotExist",
];
const HUB_BASE: u32 = 102_400;

/// The names without that prefix, in the order of their numbers, which begin at 98305; synonyms share a number.
const WSG_NAMES: [&[&str]; 15] = [
    &["Unknown"],
    &["LoginFailed"],
    &["SslRequired"],
    &["NotEnoughRights"],
    &["RepositoryNotFound", "DatasourceNotFound"],
    &["SchemaNotFound"],
    &["ClassNotFound", "LinkTypeNotFound"],
    &["PropertyNotFound"],
    &["InstanceNotFound", "ObjectNotFound"],
    &["FileNotFound"],
    &["NotSupported"],
    &["NoServerLicense"],
    &["NoClientLicense"],
    &["TooManyBadLoginAttempts"],
    &["LoginRequired"],
];
const WSG_BASE: u32 = 98_304;

impl ServiceError {
    /// Reads the body of a refusal.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(error) = body.get("error").filter(|error| error.is_object()) {
            return Self::of_the_platform(status, error);
        }
        let text =
            |key: &str| body.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        let message = match (text("errorMessage"), text("errorDescription")) {
            (Some(message), Some(more)) if message != more => format!("{message} ({more})"),
            (Some(message), _) => message.to_owned(),
            (None, Some(more)) => more.to_owned(),
            (None, None) => "the service gave no reason".to_owned(),
        };
        let (error_id, message) = (text("errorId").map(str::to_owned), shortened(&message));
        Self { status, error_id, message, details: Vec::new() }
    }

    /// Reads the words of the iTwin Platform.
    fn of_the_platform(status: u16, error: &Value) -> Self {
        /// The most details that are kept.
        const MOST: usize = 20;
        let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).map(shortened);
        let details = error.get("details").and_then(Value::as_array).into_iter().flatten().take(MOST);
        Self {
            status,
            error_id: text(error, "code").filter(|code| !code.is_empty()),
            message: text(error, "message").unwrap_or_else(|| "the service gave no reason".to_owned()),
            details: details
                .map(|detail| ErrorDetail {
                    code: text(detail, "code").unwrap_or_default(),
                    message: text(detail, "message").unwrap_or_default(),
                    target: text(detail, "target"),
                })
                .collect(),
        }
    }

    /// The service's number for the error, as the official client knows it; `None` for a name outside its tables.
    pub fn number(&self) -> Option<u32> {
        let id = self.error_id.as_deref()?;
        let (names, base): (Vec<&[&str]>, u32) = match id.strip_prefix("iModelHub.") {
            Some(_) => (HUB_NAMES.iter().map(std::slice::from_ref).collect(), HUB_BASE),
            None => (WSG_NAMES.to_vec(), WSG_BASE),
        };
        let name = id.strip_prefix("iModelHub.").unwrap_or(id);
        let at = names.iter().position(|synonyms| synonyms.contains(&name))?;
        Some(base + 1 + u32::try_from(at).ok()?)
    }

    /// What it means to whoever made the call.
    pub fn class(&self) -> ErrorClass {
        match self.kind() {
            ErrorKind::Unauthenticated => ErrorClass::Reauthenticate,
            ErrorKind::NotFound => ErrorClass::Gone,
            ErrorKind::Unreachable => ErrorClass::Retryable,
            _ => ErrorClass::Fatal,
        }
    }

    fn kind(&self) -> ErrorKind {
        let name = self.error_id.as_deref().map(|id| id.strip_prefix("iModelHub.").unwrap_or(id));
        match name {
            Some(
                "OperationFailed"
                | "DatabaseOperationFailed"
                | "DatabaseTemporarilyLocked"
                | "AnotherUserPushing",
            ) => ErrorKind::Unreachable,
            Some("LoginFailed" | "LoginRequired") => ErrorKind::Unauthenticated,
            Some("UserDoesNotHavePermission" | "UserDoesNotHaveAccess" | "NotEnoughRights") => {
                ErrorKind::PermissionDenied
            }
            Some(
                "EventSubscriptionDoesNotExist"
                | "iModelDoesNotExist"
                | "InstanceNotFound"
                | "ObjectNotFound"
                | "RepositoryNotFound"
                | "DatasourceNotFound",
            ) => ErrorKind::NotFound,
            Some("EventSubscriptionAlreadyExists") => ErrorKind::Duplicate,
            Some("EventTypeDoesNotExist" | "MissingRequiredProperties" | "InvalidPropertiesValues") => {
                ErrorKind::InvalidInput
            }
            _ => match self.status {
                401 => ErrorKind::Unauthenticated,
                403 => ErrorKind::PermissionDenied,
                404 | 410 => ErrorKind::NotFound,
                409 => ErrorKind::Duplicate,
                422 => ErrorKind::InvalidInput,
                429 | 500.. => ErrorKind::Unreachable,
                _ => ErrorKind::Refused,
            },
        }
    }

    /// The error that a call returns.
    pub(crate) fn into_error(self, op: &'static str, retry_after: Option<Duration>) -> Error {
        let kind = self.kind();
        let retry = match self.class() {
            ErrorClass::Retryable => retry_after.map_or(Retry::Backoff, Retry::After),
            ErrorClass::Reauthenticate => Retry::AfterReauth,
            ErrorClass::Gone | ErrorClass::Fatal => Retry::Never,
        };
        Error::new(kind, op, format!("the service refused: {self}")).with_retry(retry).with_source(self)
    }
}

/// A message of a server is data: it is kept short and on one line.
fn shortened(message: &str) -> String {
    const LIMIT: usize = 300;
    let plain: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LIMIT).collect();
    if plain.len() < message.len() { format!("{plain}…") } else { plain }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error_id {
            Some(id) => write!(f, "{id}: {} (HTTP {})", self.message, self.status)?,
            None => write!(f, "{} (HTTP {})", self.message, self.status)?,
        }
        for ErrorDetail { message, target, .. } in &self.details {
            write!(f, "; {}: {message}", target.as_deref().unwrap_or("request"))?;
        }
        Ok(())
    }
}

impl std::error::Error for ServiceError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, id: &str) -> ServiceError {
        ServiceError::read(status, format!("{{\"errorId\":\"{id}\",\"errorMessage\":\"m\"}}").as_bytes())
    }

    #[test]
    fn names_have_the_numbers_of_the_official_client() {
        for (id, number) in [
            ("iModelHub.Unknown", Some(102_401)),
            ("iModelHub.EventTypeDoesNotExist", Some(102_432)),
            ("iModelHub.EventSubscriptionDoesNotExist", Some(102_433)),
            ("iModelHub.CheckpointDoesNotExist", Some(102_451)),
            ("InstanceNotFound", Some(98_313)),
            ("ObjectNotFound", Some(98_313)),
            ("LoginRequired", Some(98_319)),
            ("iModelHub.BrandNew", None),
        ] {
            assert_eq!(read(400, id).number(), number, "{id}");
        }
    }

    #[test]
    fn every_refusal_is_retryable_a_matter_of_credentials_gone_or_fatal() {
        use ErrorClass::{Fatal, Gone, Reauthenticate, Retryable};
        for (status, id, class, kind) in [
            (500, "iModelHub.DatabaseOperationFailed", Retryable, ErrorKind::Unreachable),
            (403, "iModelHub.DatabaseTemporarilyLocked", Retryable, ErrorKind::Unreachable),
            (401, "LoginFailed", Reauthenticate, ErrorKind::Unauthenticated),
            (403, "iModelHub.UserDoesNotHavePermission", Fatal, ErrorKind::PermissionDenied),
            (404, "iModelHub.EventSubscriptionDoesNotExist", Gone, ErrorKind::NotFound),
            (400, "iModelHub.EventTypeDoesNotExist", Fatal, ErrorKind::InvalidInput),
            (409, "iModelHub.EventSubscriptionAlreadyExists", Fatal, ErrorKind::Duplicate),
            (400, "iModelHub.PullIsRequired", Fatal, ErrorKind::Refused),
            (500, "", Retryable, ErrorKind::Unreachable),
            (503, "", Retryable, ErrorKind::Unreachable),
            (429, "", Retryable, ErrorKind::Unreachable),
            (401, "", Reauthenticate, ErrorKind::Unauthenticated),
            (410, "", Gone, ErrorKind::NotFound),
            (400, "", Fatal, ErrorKind::Refused),
            (429, "TooManyRequests", Retryable, ErrorKind::Unreachable),
            (404, "SomethingElse", Gone, ErrorKind::NotFound),
            (403, "iModelHub.BrandNew", Fatal, ErrorKind::PermissionDenied),
        ] {
            let refusal = read(status, id);
            assert_eq!(refusal.class(), class, "{status} {id}");
            let error = refusal.clone().into_error("test", None);
            assert_eq!(error.kind(), kind, "{status} {id}");
            assert_eq!(service_error(&error), Some(&refusal));
            assert_eq!(error.is_transient(), matches!(class, Retryable | Reauthenticate));
        }
        let error = read(503, "").into_error("test", Some(Duration::from_secs(7)));
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(7)));
    }

    #[test]
    fn a_body_that_is_no_json_says_so_much_and_a_long_message_is_cut() {
        let refusal = ServiceError::read(502, b"<html>bad gateway</html>");
        assert_eq!(
            (refusal.error_id.as_deref(), refusal.message.as_str()),
            (None, "the service gave no reason")
        );
        let long = format!("{{\"errorMessage\":\"{}\"}}", "x\\n".repeat(1_000));
        assert!(ServiceError::read(400, long.as_bytes()).message.len() < 320);
    }
}
