//! The last requests and answers, in the form of the recorded traffic. Credentials are taken out, except SAS tokens,
//! which this emulator made up itself.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request};
use serde_json::{Map, Value, json};

use super::answers::Answer;
use super::clock::iso_date;
use super::ids::base64;

/// The most that is kept of a body.
const MAX_BODY: usize = 64 * 1024;

/// The records kept, oldest first.
pub(super) struct Captures {
    records: VecDeque<Record>,
    limit: usize,
}

/// Without what went over the wire.
impl fmt::Debug for Captures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captures").field("records", &self.records.len()).field("limit", &self.limit).finish()
    }
}

/// One request, and what came of it.
pub(super) struct Record {
    at: Duration,
    request: Request<Bytes>,
    /// `None`: the connection ended without one.
    answer: Option<Answer>,
    note: Option<&'static str>,
    took: Duration,
}

impl Record {
    pub(super) fn new(
        request: Request<Bytes>,
        at: Duration,
        now: Duration,
        answer: Option<Answer>,
        note: Option<&'static str>,
    ) -> Self {
        let mut request = request.map(shortened);
        if let Some(authorization) = request.headers_mut().get_mut(AUTHORIZATION) {
            redact(authorization);
        }
        let answer = answer.map(|answer| answer.map(shortened));
        Self { at, request, answer, note, took: now.saturating_sub(at) }
    }
}

/// Keeps of a large body only the beginning, in a memory of its own.
fn shortened(body: Bytes) -> Bytes {
    if body.len() > MAX_BODY { Bytes::copy_from_slice(&body[..MAX_BODY]) } else { body }
}

impl Captures {
    pub(super) fn new(limit: usize) -> Self {
        Self { records: VecDeque::new(), limit }
    }

    pub(super) fn is_on(&self) -> bool {
        self.limit > 0
    }

    pub(super) fn add(&mut self, record: Record) {
        while self.records.len() >= self.limit.max(1) {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.records).len()
    }

    pub(super) fn to_json(&self) -> Vec<Value> {
        self.records.iter().map(Record::to_json).collect()
    }
}

impl Record {
    fn to_json(&self) -> Value {
        let request = json!({
            "method": self.request.method().as_str(),
            "url": self.request.uri().to_string(),
            "headers": headers(self.request.headers()),
            "body": String::from_utf8_lossy(self.request.body()),
        });
        let response = self.answer.as_ref().map(|answer| {
            json!({
                "status": answer.status().as_u16(),
                "headers": headers(answer.headers()),
                "body": String::from_utf8_lossy(answer.body()),
                "bodyBase64": base64(answer.body()),
            })
        });
        let ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        let mut record = json!({"at": iso_date(self.at), "request": request, "response": response, "ms": ms});
        if let Some(note) = self.note {
            record["note"] = json!(note);
        }
        record
    }
}

/// Leaves the scheme of credentials, and SAS tokens whole.
fn redact(authorization: &mut HeaderValue) {
    let redacted = match authorization.to_str().ok().and_then(|text| text.split_once(' ')) {
        Some(("SharedAccessSignature", _)) => return,
        Some((scheme, _)) => HeaderValue::from_str(&format!("{scheme} [redacted]")).ok(),
        None => None,
    };
    *authorization = redacted.unwrap_or(HeaderValue::from_static("[redacted]"));
}

fn headers(headers: &HeaderMap) -> Value {
    let shown = headers.iter().map(|(name, value)| {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), Value::String(text))
    });
    Value::Object(shown.collect::<Map<_, _>>())
}
