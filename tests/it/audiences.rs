//! Audiences with the built program: who is written to, who is not and why, as people ask and see it.

mod asking;
mod bad_input;
mod interrupted;
mod pages;
mod sources;
mod suppressing;
mod templates;

/// Settings whose provider stands in this process.
const SETTINGS: &str = "\
listen: off
timezone: Asia/Shanghai
defaultGateway: sandbox
gateways:
  sandbox: {kind: sandbox, limits: {recipients: 50000/s}}
";
