//! Tests of campaignd from outside.

mod cli;
mod conformance;
mod files;
mod packaging;
mod sandbox;
mod simulation;
mod tidy;
mod transport;
