//! Tests from outside of the library.

mod conformance;
mod sandbox;
mod transport;
