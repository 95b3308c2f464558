//! Who may come in.

use event_core::Secret;

/// The users an emulator knows. None listed: every user and key that are not empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Users(Vec<(String, Secret)>);

impl Users {
    /// Adds a user. A second key for the same name is a second way in.
    pub(crate) fn add(&mut self, name: String, key: Secret) {
        self.0.push((name, key));
    }

    /// Whether name and key belong together. Looks at every listed key whatever it finds.
    pub(crate) fn admit(&self, name: &str, key: &Secret) -> bool {
        if name.is_empty() || key.is_empty() {
            return false;
        }
        let admitting = self.0.iter().filter(|(known, expected)| {
            let same = same_bytes(expected.expose().as_bytes(), key.expose().as_bytes());
            same && known == name
        });
        self.0.is_empty() || admitting.count() > 0
    }
}

/// Compares without stopping at the first difference: the time depends on the lengths only.
pub(crate) fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_house_still_wants_a_name_and_a_key() {
        let users = Users::default();
        assert!(users.admit("anybody", &"x".into()));
        assert!(!users.admit("", &"x".into()) && !users.admit("anybody", &"".into()));
    }

    #[test]
    fn listed_users_need_their_own_key() {
        let mut users = Users::default();
        users.add("ann".into(), "key-a".into());
        users.add("ben".into(), "key-b".into());
        users.add("ben".into(), "key-c".into());
        for (name, key, admitted) in [
            ("ann", "key-a", true),
            ("ben", "key-b", true),
            ("ben", "key-c", true),
            ("ann", "key-b", false),
            ("ann", "key-", false),
            ("ann", "key-aa", false),
            ("cat", "key-a", false),
        ] {
            assert_eq!(users.admit(name, &key.into()), admitted, "{name}");
        }
        assert!(!format!("{users:?}").contains("key-a"));
    }
}
