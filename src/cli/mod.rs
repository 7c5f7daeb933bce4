//! The command line.

pub mod new;
pub mod problems;
