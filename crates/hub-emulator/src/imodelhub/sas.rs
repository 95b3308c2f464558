//! SAS tokens: who may use which queue, and for how long. Pure.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::ids::Ids;
use super::topic::Topic;
use crate::faults::{Defect, Defects};

/// The most tokens kept; beyond, the one that ends first is forgotten.
const MAX_TOKENS: usize = 10_000;
const SCHEME: &str = "SharedAccessSignature ";
/// Names of our keys begin so.
const KEY_PREFIX: &str = "listen-";

/// The tokens given out and still good.
#[derive(Default)]
pub(super) struct SasTokens {
    grants: HashMap<String, Grant>,
    issued: u64,
    defects: Defects,
}

/// Without the tokens.
impl fmt::Debug for SasTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SasTokens")
            .field("good", &self.len())
            .field("issued", &self.issued)
            .finish_non_exhaustive()
    }
}

struct Grant {
    topic: Topic,
    until: Duration,
    uses_left: Option<u32>,
}

impl SasTokens {
    pub(super) fn new(defects: Defects) -> Self {
        Self { defects, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.grants.len()
    }

    /// A new token for the queues of a topic. `base` is the address it is for.
    pub(super) fn issue(
        &mut self,
        topic: &Topic,
        base: &str,
        until: Duration,
        uses: Option<u32>,
        ids: &mut Ids,
    ) -> String {
        self.issued += 1;
        let (address, signature) = (encode(base), encode(&ids.signature()));
        let (end, number) = (until.as_secs(), self.issued);
        let token = format!("{SCHEME}sr={address}&sig={signature}&se={end}&skn={KEY_PREFIX}{number}");
        if self.grants.len() >= MAX_TOKENS
            && let Some(first) =
                self.grants.iter().min_by_key(|(_, grant)| grant.until).map(|(key, _)| key.clone())
        {
            self.grants.remove(&first);
        }
        self.grants.insert(token.clone(), Grant { topic: topic.clone(), until, uses_left: uses });
        token
    }

    /// Whether a token opens the queues of a topic now; that is one use of it.
    ///
    /// A token that the client signed itself with a key of the namespace, as `azure-sb` does, is good until the
    /// end that it names: its signature is not looked at.
    pub(super) fn admit(&mut self, token: &str, topic: &Topic, now: Duration) -> bool {
        let lasting = self.defects.has(Defect::SasNeverExpires);
        let now = if lasting { Duration::ZERO } else { now };
        let Some(grant) = self.grants.get_mut(token) else { return is_self_signed(token, now) };
        if grant.topic != *topic {
            return false;
        }
        if lasting {
            return true;
        }
        if grant.until <= now || grant.uses_left == Some(0) {
            self.grants.remove(token);
            return false;
        }
        if let Some(left) = &mut grant.uses_left {
            *left -= 1;
        }
        true
    }

    /// Makes one token useless.
    pub(super) fn revoke(&mut self, token: &str) {
        self.grants.remove(token);
    }

    /// Makes every token useless; says how many there were.
    pub(super) fn expire(&mut self) -> usize {
        std::mem::take(&mut self.grants).len()
    }

    /// Forgets tokens whose time is over.
    pub(super) fn tidy(&mut self, now: Duration) {
        if !self.defects.has(Defect::SasNeverExpires) {
            self.grants.retain(|_, grant| grant.until > now);
        }
    }
}

fn is_self_signed(token: &str, now: Duration) -> bool {
    let Some(parameters) = token.strip_prefix(SCHEME) else { return false };
    let value = |name: &str| {
        parameters
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, value)| *key == name && !value.is_empty())
            .map(|(_, value)| value)
    };
    let key = value("skn").is_some_and(|key| !key.starts_with(KEY_PREFIX));
    let end = value("se").and_then(|end| end.parse::<u64>().ok()).is_some_and(|end| end > now.as_secs());
    key && end && value("sig").is_some() && value("sr").is_some()
}

/// Percent-encodes everything but unreserved characters.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_opens_its_topic_until_its_end() {
        let (mut tokens, mut ids) = (SasTokens::default(), Ids::new(1));
        let token = tokens.issue(&Topic::Global, "http://h:1/bus/x", at(10), None, &mut ids);
        assert!(token.starts_with("SharedAccessSignature sr=http%3A%2F%2Fh%3A1%2Fbus%2Fx&sig="), "{token}");
        assert!(token.ends_with("%3D&se=10&skn=listen-1"), "{token}");
        assert!(tokens.admit(&token, &Topic::Global, at(9)));
        assert!(!tokens.admit(&token, &Topic::IModel("x".into()), at(9)));
        assert!(!tokens.admit(&token, &Topic::Global, at(10)));
        assert!(!tokens.admit(&token, &Topic::Global, at(9)), "an ended token stays ended");
    }

    #[test]
    fn uses_are_counted_and_tokens_can_be_ended() {
        let (mut tokens, mut ids) = (SasTokens::default(), Ids::new(1));
        let counted = tokens.issue(&Topic::Global, "b", at(10), Some(2), &mut ids);
        let used: Vec<bool> = (0..3).map(|_| tokens.admit(&counted, &Topic::Global, at(1))).collect();
        assert_eq!(used, [true, true, false]);
        let ended = tokens.issue(&Topic::Global, "b", at(10), None, &mut ids);
        assert_eq!(tokens.expire(), 1);
        assert!(!tokens.admit(&ended, &Topic::Global, at(1)));
        tokens.issue(&Topic::Global, "b", at(10), None, &mut ids);
        tokens.tidy(at(10));
        assert_eq!(tokens.len(), 0);
    }

    #[test]
    fn a_token_the_client_signed_is_good_until_the_end_it_names() {
        let mut tokens = SasTokens::default();
        for (token, good) in [
            ("SharedAccessSignature sig=s%3D&se=20&skn=k&sr=http", true),
            ("SharedAccessSignature sig=s%3D&se=10&skn=k&sr=http", false),
            ("SharedAccessSignature sig=s%3D&se=20&skn=listen-1&sr=http", false),
            ("SharedAccessSignature sig=&se=20&skn=k&sr=http", false),
            ("SharedAccessSignature se=20&skn=k", false),
            ("InvalidSASToken", false),
            ("Bearer x", false),
            ("", false),
        ] {
            assert_eq!(tokens.admit(token, &Topic::Global, at(10)), good, "{token}");
        }
    }

    #[test]
    fn the_tokens_kept_are_bounded() {
        let (mut tokens, mut ids) = (SasTokens::default(), Ids::new(1));
        let first = tokens.issue(&Topic::Global, "b", at(1), None, &mut ids);
        for _ in 0..MAX_TOKENS {
            tokens.issue(&Topic::Global, "b", at(2), None, &mut ids);
        }
        assert_eq!(tokens.len(), MAX_TOKENS);
        assert!(!tokens.admit(&first, &Topic::Global, at(0)));
    }
}
