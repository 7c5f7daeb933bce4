//! Tests of campaignd from outside.

mod files;
mod tidy;
