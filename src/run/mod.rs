//! Runs.
pub mod reply;
