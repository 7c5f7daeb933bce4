//! Tests of campaignd from outside.

mod conformance;
mod files;
mod sandbox;
mod simulation;
mod tidy;
mod transport;
