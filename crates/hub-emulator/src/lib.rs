//! An embedded hub, to come.
