//! A document that a person wrote: a tree of values that remembers where each one stands, and
//! the problems found in it.
//!
//! Knows: places (line, column), scalars as they were written, problems. Must never know: what a
//! campaign or a setting means, files, clocks. Only [`yaml`] knows the YAML syntax.

pub mod difference;
pub mod examples;
pub mod explanation;
pub mod fields;
pub mod nearest;
mod plain;
pub mod problem;
pub mod yaml;

pub use problem::{Code, Problem, Severity};

/// Where something stands in a source text: lines and columns count from 1, columns in characters.
/// `end_column` is exclusive and on the same line; a value of several lines ends with its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Span {
    pub line: u32,
    pub column: u32,
    pub end_column: u32,
}

/// One value of a document and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub span: Span,
    pub value: Value,
}

/// What a node holds. Scalars stay text until somebody asks for a meaning, so that an id is never
/// changed on its way (`0123` stays `0123`).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A scalar as written, without quotes. `plain` tells that it stood unquoted, so that YAML
    /// would read a number, a boolean or null into it.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    /// Entries in the order of the file; keys are unique.
    Mapping(Vec<Entry>),
}

/// One `key: value` of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}
