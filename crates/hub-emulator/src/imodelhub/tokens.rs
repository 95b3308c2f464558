//! Access tokens: who may manage subscriptions.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use event_core::Secret;

/// The most tokens remembered as seen or revoked, each.
const MAX_REMEMBERED: usize = 10_000;

/// Which `Authorization` headers are good. Tokens are kept as hashes: this is no place to leak them.
#[derive(Debug, Default)]
pub(super) struct AccessTokens {
    /// The only ones admitted; `None`: every one that is not empty.
    listed: Option<HashSet<u64>>,
    seen: Remembered,
    revoked: Remembered,
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No credentials, or not in a form this service knows.
    Missing,
    /// Credentials that are not, or no longer, good.
    Unknown,
}

impl AccessTokens {
    pub(super) fn new(listed: &[Secret]) -> Self {
        let mut tokens = Self::default();
        for token in listed {
            tokens.accept(token);
        }
        tokens
    }

    /// From now on this token is good, and only those listed are.
    pub(super) fn accept(&mut self, token: &Secret) {
        let hash = hash(token.expose());
        self.revoked.forget(hash);
        self.listed.get_or_insert_default().insert(hash);
    }

    /// Judges an `Authorization` header: `Bearer TOKEN` or `Basic CREDENTIALS`.
    pub(super) fn admit(&mut self, header: Option<&str>) -> Result<(), Refused> {
        let token = credentials(header).ok_or(Refused::Missing)?;
        let hash = hash(token);
        let known = self.listed.as_ref().is_none_or(|listed| listed.contains(&hash));
        if !known || self.revoked.contains(hash) {
            return Err(Refused::Unknown);
        }
        self.seen.add(hash);
        Ok(())
    }

    /// Makes one token useless.
    pub(super) fn revoke(&mut self, token: &str) {
        let hash = hash(token);
        self.seen.forget(hash);
        self.revoked.add(hash);
        if let Some(listed) = &mut self.listed {
            listed.remove(&hash);
        }
    }

    /// Makes every token useless that was listed, or used so far; says how many those were.
    pub(super) fn revoke_all(&mut self) -> usize {
        let listed = self.listed.as_mut().map(std::mem::take).unwrap_or_default();
        let all: HashSet<u64> = std::mem::take(&mut self.seen).set.into_iter().chain(listed).collect();
        for hash in &all {
            self.revoked.add(*hash);
        }
        all.len()
    }
}

/// What follows the scheme.
pub(super) fn credentials(header: Option<&str>) -> Option<&str> {
    let (scheme, rest) = header?.trim().split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("basic");
    Some(rest.trim()).filter(|rest| known && !rest.is_empty())
}

fn hash(token: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    hasher.finish()
}

/// A set that forgets the oldest.
#[derive(Debug, Default)]
struct Remembered {
    set: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Remembered {
    fn contains(&self, hash: u64) -> bool {
        self.set.contains(&hash)
    }

    fn add(&mut self, hash: u64) {
        if self.set.insert(hash) {
            self.order.push_back(hash);
        }
        while self.order.len() > MAX_REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.set.remove(&oldest);
            }
        }
    }

    fn forget(&mut self, hash: u64) {
        if self.set.remove(&hash) {
            self.order.retain(|known| *known != hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_house_takes_every_token_until_it_is_revoked() {
        let mut tokens = AccessTokens::default();
        for (header, admitted) in [
            (Some("Bearer jwt"), Ok(())),
            (Some("bearer  jwt "), Ok(())),
            (Some("Basic dXNlcjpwYXNz"), Ok(())),
            (Some("Bearer "), Err(Refused::Missing)),
            (Some("Bearer"), Err(Refused::Missing)),
            (Some("Digest x"), Err(Refused::Missing)),
            (Some(""), Err(Refused::Missing)),
            (None, Err(Refused::Missing)),
        ] {
            assert_eq!(tokens.admit(header), admitted, "{header:?}");
        }
        assert_eq!(tokens.revoke_all(), 2);
        assert_eq!(tokens.admit(Some("Bearer jwt")), Err(Refused::Unknown));
        assert_eq!(tokens.admit(Some("Bearer next")), Ok(()));
        tokens.revoke("next");
        assert_eq!(tokens.admit(Some("Bearer next")), Err(Refused::Unknown));
    }

    #[test]
    fn a_list_is_the_only_way_in() {
        let mut tokens = AccessTokens::new(&["a".into(), "b".into()]);
        assert_eq!(tokens.admit(Some("Bearer a")), Ok(()));
        assert_eq!(tokens.admit(Some("Bearer c")), Err(Refused::Unknown));
        assert_eq!(tokens.revoke_all(), 2);
        for token in ["Bearer a", "Bearer b", "Bearer c"] {
            assert_eq!(tokens.admit(Some(token)), Err(Refused::Unknown));
        }
        tokens.accept(&"a".into());
        assert_eq!(tokens.admit(Some("Bearer a")), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut tokens = AccessTokens::default();
        for number in 0..=MAX_REMEMBERED {
            tokens.admit(Some(&format!("Bearer {number}"))).unwrap();
        }
        assert_eq!(tokens.revoke_all(), MAX_REMEMBERED);
    }
}
