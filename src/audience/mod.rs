//! Audiences: from the sources of a campaign to a sorted stream of recipients, none twice, each
//! included or excluded.
//!
//! Knows: list files and how to sort more ids than fit into memory. Must never know: gateways, the
//! ledger, who asks.

pub mod gather;
pub mod list_file;

pub use gather::{Gatherer, Member, Members, Side};
pub use list_file::{ListFault, read_list};
