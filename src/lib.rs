//! campaignd: a declarative broadcast campaign scheduler. A folder of YAML files becomes messages
//! sent on time, within limits, with every recipient's outcome on record.
//!
//! The map; `ARCHITECTURE.md` walks through it. Arrows point down, and house tests hold them.
//!
//! - **The shell** joins the parts and faces people: [`cli`] commands and exit codes, [`daemon`] the
//!   one future that watches, plans, sends and records, [`review`] what is served over HTTP,
//!   [`settings`] the settings file, secrets and the environment, [`sandbox`] a provider that
//!   delivers nowhere.
//! - **The rim** knows one outside thing each, and no neighbour: [`clock`] the time of day,
//!   [`folder`] the campaigns folder, [`audience`] list files and sorting beyond memory, [`gateway`]
//!   providers, [`store`] the ledger.
//! - **The middle** is pure; data in, data out: [`plan`] what is due, [`revision`] what a change of
//!   the folder means, [`run`] the states of runs and deliveries, [`campaign`] what a file says,
//!   [`schedule`] when, [`limits`] how fast, [`document`] values with their places, and problems.

#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used)]

pub mod audience;
pub mod campaign;
pub mod cli;
pub mod clock;
pub mod daemon;
pub mod document;
pub mod folder;
pub mod gateway;
pub mod limits;
pub mod plan;
pub mod review;
pub mod revision;
pub mod run;
pub mod sandbox;
pub mod schedule;
pub mod settings;
pub mod store;
