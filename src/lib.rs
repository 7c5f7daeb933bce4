//! campaignd: a declarative broadcast campaign scheduler.

pub mod campaign;
pub mod clock;
pub mod document;
pub mod gateway;
pub mod limits;
pub mod run;
pub mod sandbox;
pub mod schedule;
