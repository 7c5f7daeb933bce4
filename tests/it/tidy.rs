//! House rules, kept by tests. Each failure says the rule and its reason. The map that they guard is
//! `ARCHITECTURE.md`.

mod bands;
mod habits;
mod source;
mod words;
