//! Tests from outside of the library.

mod conformance;
mod transport;
