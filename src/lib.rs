//! campaignd: a declarative broadcast campaign scheduler.

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
