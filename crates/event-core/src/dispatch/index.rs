//! Who could want an event, without asking everybody.
//!
//! Every expression that implies equalities or prefixes ("this field is that literal") is filed under them. The
//! *shape* of a filing is the set of fields involved (and, for a prefix, its length); its *key* is a hash of
//! the literals. An event reads each field named by any shape at most once, builds one key per shape and finds
//! its candidates by one look-up each, however many subscriptions there are. Expressions that imply nothing
//! (`not topic=x`, `data.n>3`) stand on a residual list that is walked for every event.
//!
//! Candidates are a superset: the caller evaluates the expression. That makes hash collisions and the folding
//! of "10", 10 and 10.0 into one key harmless.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use smallvec::{SmallVec, smallvec};

use crate::Expression;
use crate::expression::{Condition, Node, Pattern, Scalar, Subject, numeric_key};

/// An `or` of more alternatives than this is not filed under each of them but walked.
const MAX_ALTERNATIVES: usize = 16;
/// Conjuncts beyond this many do not make a key more selective in practice.
const MAX_PARTS: usize = 4;

/// Maps events to the numbers of the subscriptions that could want them.
///
/// The hub engine dispatches with it, and so can any other router of events by expression. Numbers are the
/// caller's; one number may be filed under one expression at a time.
///
/// ```
/// use event_core::{Event, Expression, dispatch::Index};
/// use serde_json::json;
///
/// let mut index = Index::new();
/// index.insert(0, &Expression::parse("topic=ftrack.update and source.applicationId=ftrack.web")?);
/// index.insert(1, &Expression::parse("topic=ftrack.*")?);
/// index.insert(2, &Expression::parse("topic=other")?);
///
/// let event = Event::new("ftrack.update", &json!({}))?;
/// let mut found = Vec::new();
/// index.candidates(&event, &mut found);
/// assert_eq!(found, [1]);
/// # Ok::<(), event_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Index {
    fields: Vec<Box<[Box<str>]>>,
    shapes: Vec<Shape>,
    residual: Vec<u32>,
    hashing: RandomState,
}

#[derive(Debug)]
struct Shape {
    parts: Box<[Part]>,
    buckets: HashMap<u64, Bucket, BuildHasherDefault<Ready>>,
}

/// A field, wholly or by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Whole(usize),
    First(usize, usize),
}

/// Most keys lead to one subscription, which is why several are at one more remove: there are as many of these as keys.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "a third of the size")]
enum Bucket {
    One(u32),
    Many(Box<Vec<u32>>),
}

/// What an event has in a field.
#[derive(Clone, Copy, Debug)]
enum Read<'s> {
    NotYet,
    Missing,
    Found(Scalar<'s>),
}

/// One way to file an expression: parts with their literals.
type Filing<'e> = Vec<(&'e Condition, Literal<'e>)>;

#[derive(Clone, Copy, Debug)]
enum Literal<'e> {
    Whole(&'e str),
    First(&'e str),
}

impl Index {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Files a subscription.
    pub fn insert(&mut self, number: u32, expression: &Expression) {
        match filings(expression.node()) {
            Some(filings) => {
                for filing in filings {
                    let (parts, key) = self.key(filing);
                    let shape = self.shape(parts);
                    self.shapes[shape].add(key, number);
                }
            }
            None => self.residual.push(number),
        }
    }

    /// Takes a subscription out again; `expression` must be the one it was filed under.
    pub fn remove(&mut self, number: u32, expression: &Expression) {
        match filings(expression.node()) {
            Some(filings) => {
                for filing in filings {
                    let (parts, key) = self.key(filing);
                    if let Some(shape) = self.shapes.iter_mut().find(|s| *s.parts == *parts) {
                        shape.take(key, number);
                    }
                }
                self.shapes.retain(|shape| !shape.buckets.is_empty());
                if self.shapes.is_empty() {
                    self.fields.clear();
                }
            }
            None => self.residual.retain(|n| *n != number),
        }
    }

    /// Subscriptions that no key leads to.
    pub fn residual_len(&self) -> usize {
        self.residual.len()
    }

    /// Collects the candidates for an event, each once, in ascending order.
    pub fn candidates<S: Subject + ?Sized>(&self, subject: &S, found: &mut Vec<u32>) {
        found.clear();
        found.extend_from_slice(&self.residual);
        let mut read: SmallVec<[Read<'_>; 8]> = smallvec![Read::NotYet; self.fields.len()];
        for shape in &self.shapes {
            if let Some(key) = self.subject_key(shape, subject, &mut read) {
                shape.collect(key, found);
            }
        }
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
    }

    fn subject_key<'s, S: Subject + ?Sized>(
        &self,
        shape: &Shape,
        subject: &'s S,
        read: &mut [Read<'s>],
    ) -> Option<u64> {
        let mut hasher = self.hashing.build_hasher();
        for part in &shape.parts {
            let (Part::Whole(field) | Part::First(field, _)) = *part;
            if let Read::NotYet = read[field] {
                read[field] = subject.lookup(&self.fields[field]).map_or(Read::Missing, Read::Found);
            }
            let Read::Found(value) = read[field] else { return None };
            match (*part, value) {
                (Part::Whole(_), Scalar::Str(text)) => hash_text(text, &mut hasher),
                (Part::Whole(_), Scalar::Number(number)) => hash_number(number.as_f64()?, &mut hasher),
                (Part::Whole(_), Scalar::Bool(truth)) => hash_bool(truth, &mut hasher),
                (Part::First(_, length), Scalar::Str(text)) => {
                    hasher.write(text.as_bytes().get(..length)?);
                }
                _ => return None,
            }
        }
        Some(hasher.finish())
    }

    fn key(&mut self, filing: Filing<'_>) -> (Vec<Part>, u64) {
        let mut parts: Vec<(Part, Literal<'_>)> = filing
            .into_iter()
            .map(|(condition, literal)| {
                let field = self.field(condition.segments());
                match literal {
                    Literal::Whole(_) => (Part::Whole(field), literal),
                    Literal::First(start) => (Part::First(field, start.len()), literal),
                }
            })
            .collect();
        parts.sort_by_key(|(part, _)| *part);
        parts.truncate(MAX_PARTS);
        let mut hasher = self.hashing.build_hasher();
        for (_, literal) in &parts {
            match literal {
                Literal::Whole(text) => hash_text(text, &mut hasher),
                Literal::First(text) => hasher.write(text.as_bytes()),
            }
        }
        (parts.into_iter().map(|(part, _)| part).collect(), hasher.finish())
    }

    fn field(&mut self, path: &[Box<str>]) -> usize {
        if let Some(at) = self.fields.iter().position(|known| **known == *path) {
            return at;
        }
        self.fields.push(path.into());
        self.fields.len() - 1
    }

    fn shape(&mut self, parts: Vec<Part>) -> usize {
        if let Some(at) = self.shapes.iter().position(|known| *known.parts == *parts) {
            return at;
        }
        self.shapes.push(Shape { parts: parts.into(), buckets: HashMap::default() });
        self.shapes.len() - 1
    }
}

impl Shape {
    fn add(&mut self, key: u64, number: u32) {
        self.buckets
            .entry(key)
            .and_modify(|bucket| match bucket {
                Bucket::One(first) => *bucket = Bucket::Many(Box::new(vec![*first, number])),
                Bucket::Many(numbers) => numbers.push(number),
            })
            .or_insert(Bucket::One(number));
    }

    fn take(&mut self, key: u64, number: u32) {
        let empty = match self.buckets.get_mut(&key) {
            Some(Bucket::One(only)) => *only == number,
            Some(Bucket::Many(numbers)) => {
                numbers.retain(|n| *n != number);
                numbers.is_empty()
            }
            None => false,
        };
        if empty {
            self.buckets.remove(&key);
        }
    }

    fn collect(&self, key: u64, found: &mut Vec<u32>) {
        match self.buckets.get(&key) {
            Some(Bucket::One(number)) => found.push(*number),
            Some(Bucket::Many(numbers)) => found.extend_from_slice(numbers),
            None => {}
        }
    }
}

/// The ways to file an expression; an event that matches it has the literals of at least one of them. `None` when
/// it implies no literal.
fn filings(node: &Node) -> Option<Vec<Filing<'_>>> {
    match node {
        Node::Condition(condition) => literal(condition).map(|literal| vec![vec![(condition, literal)]]),
        Node::All(parts) => {
            let own: Filing<'_> = parts.iter().flat_map(conjuncts).collect();
            if own.is_empty() {
                parts.iter().filter_map(filings).min_by_key(Vec::len)
            } else {
                Some(vec![own])
            }
        }
        Node::Any(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(filings(part)?);
                if all.len() > MAX_ALTERNATIVES {
                    return None;
                }
            }
            Some(all)
        }
        _ => None,
    }
}

/// The literals that a member of a conjunction implies by itself.
fn conjuncts(node: &Node) -> Filing<'_> {
    match node {
        Node::Condition(condition) => {
            literal(condition).map(|literal| (condition, literal)).into_iter().collect()
        }
        Node::All(parts) => parts.iter().flat_map(conjuncts).collect(),
        _ => Vec::new(),
    }
}

fn literal(condition: &Condition) -> Option<Literal<'_>> {
    Some(match condition.pattern()? {
        Pattern::Prefix(start) => Literal::First(start),
        Pattern::Exact(text) => Literal::Whole(text),
    })
}

fn hash_text<H: Hasher>(text: &str, hasher: &mut H) {
    if let Some(number) = numeric_key(text) {
        hash_number(number, hasher);
    } else if text.eq_ignore_ascii_case("true") {
        hash_bool(true, hasher);
    } else if text.eq_ignore_ascii_case("false") {
        hash_bool(false, hasher);
    } else {
        text.hash(hasher);
    }
}

fn hash_number<H: Hasher>(number: f64, hasher: &mut H) {
    // -0 and 0 are one number.
    let folded = if number == 0.0 { 0.0 } else { number };
    folded.to_bits().hash(hasher);
}

fn hash_bool<H: Hasher>(truth: bool, hasher: &mut H) {
    truth.hash(hasher);
}

/// A hasher for keys that are hashes already.
#[derive(Debug, Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
#[path = "tests/index.rs"]
mod tests;
