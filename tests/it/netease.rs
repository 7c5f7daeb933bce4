//! NetEase's two kinds of gateways: what they send, to the byte; what becomes of it, against a sandbox
//! server of its own.

mod bad_input;
mod checks;
mod examples;
mod golden;
mod im;
mod office;
mod send_to_all;
mod shapes;
