//! The judges themselves: a foreign process that hangs, and a machine without the tools.

#[cfg(unix)]
mod missing_tools;
#[cfg(unix)]
mod puppets;
