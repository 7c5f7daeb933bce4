//! placeholder
pub struct Allowance;
pub struct SlidingLog;
