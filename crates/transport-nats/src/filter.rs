//! What an expression says about topics, as subjects to subscribe to. Pure.
//!
//! Subjects are filtered by whole tokens, so the filters let through at least what the expression wants, and often more:
//! the rest is matched where the events are.

use event_core::Expression;
use event_core::expression::{Condition, Node, Pattern};

use crate::subject::{MAX_SUBJECT, Subjects};

/// How many filters one expression may have; with more it gets a wider one.
const MOST: usize = 32;

/// Subjects, none of which lies within another, that let through every event an expression wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters(Vec<String>);

/// What the topic of a matching event must be.
enum Topics<'e> {
    /// Anything.
    Any,
    /// One of these.
    Of(Vec<Pattern<'e>>),
}

impl Filters {
    /// The filters of an expression, or of none.
    ///
    /// ```
    /// use event_core::Expression;
    /// use transport_nats::{Filters, Subjects};
    ///
    /// let subjects = Subjects::new("events")?;
    /// let filters = |text: &str| Filters::of(&subjects, Some(&text.parse::<Expression>().unwrap()));
    /// assert_eq!(filters("topic=ftrack.update and data.n>3").as_slice(), ["events.ftrack.update"]);
    /// assert_eq!(filters("topic=ftrack.up*").as_slice(), ["events.ftrack.>"]);
    /// assert_eq!(filters("topic=a or topic=b.c").as_slice(), ["events.a", "events.b.c"]);
    /// assert_eq!(filters("data.n>3").as_slice(), ["events.>"]);
    /// # Ok::<(), event_core::Error>(())
    /// ```
    pub fn of(subjects: &Subjects, expression: Option<&Expression>) -> Self {
        let topics = expression.map_or(Topics::Any, |expression| Topics::of(expression.node()));
        let filters = match topics {
            Topics::Any => vec![subjects.all()],
            Topics::Of(patterns) => widest(patterns.iter().map(|pattern| filter(subjects, *pattern))),
        };
        if filters.len() > MOST { Self(vec![common(subjects, &filters)]) } else { Self(filters) }
    }

    /// The filters.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// One filter in place of all: for consumers, which have a single one.
    pub fn single(&self, subjects: &Subjects) -> String {
        match &self.0[..] {
            [one] => one.clone(),
            several => common(subjects, several),
        }
    }

    /// Whether a subject gets through.
    pub fn accept(&self, subject: &str) -> bool {
        self.0.iter().any(|filter| covers(filter, subject))
    }
}

impl<'e> Topics<'e> {
    fn of(node: &'e Node) -> Self {
        match node {
            Node::Condition(condition) => Self::asked(condition),
            // All of them hold: the narrowest says most.
            Node::All(members) => members.iter().map(Self::of).min_by_key(Self::width).unwrap_or(Self::Any),
            Node::Any(members) => {
                let mut all = Vec::new();
                for member in members {
                    let Self::Of(mut patterns) = Self::of(member) else { return Self::Any };
                    all.append(&mut patterns);
                }
                Self::Of(all)
            }
            _ => Self::Any,
        }
    }

    fn asked(condition: &'e Condition) -> Self {
        match condition.pattern() {
            Some(Pattern::Prefix("")) | None => Self::Any,
            Some(pattern) if condition.field() == "topic" => Self::Of(vec![pattern]),
            Some(_) => Self::Any,
        }
    }

    /// Small for few topics. A longer prefix is narrower than a shorter one.
    fn width(&self) -> (usize, usize, usize) {
        match self {
            Self::Any => (2, 0, 0),
            Self::Of(patterns) => {
                let shortest = patterns.iter().filter_map(|pattern| match pattern {
                    Pattern::Prefix(start) => Some(start.len()),
                    Pattern::Exact(_) => None,
                });
                let shortest = shortest.min().map_or(0, |length| usize::MAX - length);
                (usize::from(shortest > 0), shortest, patterns.len())
            }
        }
    }
}

/// The subject of one topic, or of all that begin so.
fn filter(subjects: &Subjects, pattern: Pattern<'_>) -> String {
    let (whole, topic) = match pattern {
        Pattern::Exact(topic) => (true, topic),
        // What follows the last dot may be half a token.
        Pattern::Prefix(start) => match start.rsplit_once('.') {
            Some((tokens, _)) => (false, tokens),
            None => return subjects.all(),
        },
    };
    let mut subject = subjects.subject(topic);
    if subject.len() > MAX_SUBJECT {
        return subjects.all();
    }
    if !whole {
        subject.push_str(".>");
    }
    subject
}

/// Those that lie in no other, in order.
pub(crate) fn widest(filters: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut filters: Vec<String> = filters.into_iter().collect();
    filters.sort_unstable();
    filters.dedup();
    let within = |one: &String| filters.iter().any(|other| other != one && covers(other, one));
    let keep: Vec<bool> = filters.iter().map(|one| !within(one)).collect();
    filters.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(filter, _)| filter).collect()
}

/// Whether everything that `inner`, a subject or a filter, lets through gets through `outer`.
pub(crate) fn covers(outer: &str, inner: &str) -> bool {
    match outer.strip_suffix('>') {
        Some(start) => inner.len() > start.len() && inner.starts_with(start),
        None => outer == inner,
    }
}

/// The narrowest filter that covers all of these.
fn common(subjects: &Subjects, filters: &[String]) -> String {
    let Some((first, rest)) = filters.split_first() else { return subjects.all() };
    let mut tokens: Vec<&str> = first.split('.').collect();
    // The last one is the topic's own, or the wildcard.
    tokens.pop();
    for filter in rest {
        let same = tokens.iter().zip(filter.split('.')).take_while(|(one, other)| *one == other).count();
        tokens.truncate(same);
    }
    // A topic that is as long as the common part is not below it.
    let shortest = filters.iter().map(|filter| filter.split('.').count()).min().unwrap_or_default();
    tokens.truncate(shortest.saturating_sub(1));
    format!("{}.>", tokens.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(text: &str) -> Filters {
        Filters::of(&Subjects::new("e").unwrap(), Some(&Expression::parse(text).unwrap()))
    }

    fn single(text: &str) -> String {
        filters(text).single(&Subjects::new("e").unwrap())
    }

    #[test]
    fn topics_become_subjects_and_the_rest_is_left() {
        for (text, expected) in [
            ("topic=a.b", &["e.a.b"][..]),
            ("topic=a.*", &["e.a.>"]),
            ("topic=a.b*", &["e.a.>"]),
            ("topic=a*", &["e.>"]),
            ("topic=*", &["e.>"]),
            ("topic!=a", &["e.>"]),
            ("topic>a", &["e.>"]),
            ("not topic=a", &["e.>"]),
            ("data.topic=a", &["e.>"]),
            ("topic.x=a", &["e.>"]),
            ("topic=a or topic=b", &["e.a", "e.b"]),
            ("topic=a or id=1", &["e.>"]),
            ("topic=a.* or topic=a.b or topic=a", &["e.a", "e.a.>"]),
            ("topic=a.* and topic=a.b and id=1", &["e.a.b"]),
            ("topic=a.* and topic=a.b.*", &["e.a.b.>"]),
            ("(topic=a or topic=b) and topic=a.*", &["e.a", "e.b"]),
            ("topic=\"a b.c\"", &["e.a%20b.c"]),
            ("topic=\"\"", &["e.%"]),
        ] {
            assert_eq!(filters(text).as_slice(), expected, "{text}");
        }
    }

    #[test]
    fn a_single_filter_covers_all() {
        for (text, expected) in [
            ("topic=a.b", "e.a.b"),
            ("topic=a.b or topic=a.c", "e.a.>"),
            ("topic=a.b or topic=c", "e.>"),
            ("topic=a or topic=a.b", "e.>"),
            ("topic=a.b.* or topic=a.b.c.d or topic=a.b.d", "e.a.b.>"),
        ] {
            assert_eq!(single(text), expected, "{text}");
        }
    }

    #[test]
    fn many_topics_and_long_ones_get_a_wider_filter() {
        let many: Vec<String> = (0..40).map(|n| format!("topic=a.b.t{n}")).collect();
        assert_eq!(filters(&many.join(" or ")).as_slice(), ["e.a.b.>"]);
        assert_eq!(filters(&format!("topic={}", "x".repeat(3_000))).as_slice(), ["e.>"]);
    }

    #[test]
    fn a_filter_covers_what_lies_below_it_and_not_itself() {
        assert!(covers("e.a.>", "e.a.b") && covers("e.a.>", "e.a.b.>") && covers("e.a.>", "e.a.>"));
        assert!(!covers("e.a.>", "e.a") && !covers("e.a", "e.a.b") && !covers("e.a.b", "e.a.>"));
    }
}
