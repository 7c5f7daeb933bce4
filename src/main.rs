//! The `campaignd` program; everything is in the library, which says what it consists of.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    campaignd::cli::main()
}
