//! Tests of campaignd from outside.

mod audiences;
mod awkward_zones;
mod cli;
mod conformance;
mod desk;
mod dice;
mod explanations;
mod fence;
mod files;
mod journal;
mod kills;
mod ledger_file;
mod ledger_views;
mod manual;
mod netease;
mod office;
mod oracle;
mod packaging;
mod planning;
mod process;
mod sandbox;
mod simulation;
mod store;
mod tidy;
mod transport;
mod verify;
