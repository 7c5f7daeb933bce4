//! Tests of campaignd from outside.

mod audiences;
mod awkward_zones;
mod cli;
mod conformance;
mod desk;
mod explanations;
mod fence;
mod files;
mod journal;
mod ledger_file;
mod ledger_views;
mod netease;
mod oracle;
mod packaging;
mod planning;
mod process;
mod sandbox;
mod simulation;
mod store;
mod tidy;
mod transport;
