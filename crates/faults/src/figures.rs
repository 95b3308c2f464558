//! What a scene measured, or why it is broken.

use std::fmt;

/// Named figures, in the order in which they were noted.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<(String, String)>);

impl Figures {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// And this one.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.0.push((name.into(), value.to_string()));
        self
    }

    /// And those of another, their names behind a prefix.
    #[must_use]
    pub fn and(mut self, prefix: &str, others: Self) -> Self {
        self.0.extend(others.0.into_iter().map(|(name, value)| (format!("{prefix} {name}"), value)));
        self
    }

    /// Those that are whole numbers.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.parse().ok()?)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Figures {
    /// `lost 0, gaps 12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name} {value}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// What must hold and does not, with the figures at hand.
#[derive(Clone, Debug)]
pub struct Broken(String);

impl Broken {
    /// With these words.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Fails unless something holds.
///
/// # Errors
///
/// [`Broken`] with what was to hold.
pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(what())) }
}
