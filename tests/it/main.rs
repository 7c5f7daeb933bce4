//! Tests of campaignd from outside.

mod cli;
mod files;
