//! Tests of campaignd from outside.

mod cli;
mod conformance;
mod desk;
mod files;
mod packaging;
mod process;
mod sandbox;
mod simulation;
mod tidy;
mod transport;
