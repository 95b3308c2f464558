//! The judges themselves: a foreign process that hangs, and a machine without the tools. And the documents that
//! came of them.

mod documents;
#[cfg(unix)]
mod missing_tools;
#[cfg(unix)]
mod puppets;
