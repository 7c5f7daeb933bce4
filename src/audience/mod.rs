//! Audiences: from list files to a sorted stream of ids, none twice, each with the sources that name it.
//!
//! Knows: list files and how to sort more ids than fit into memory. Must never know: gateways, the
//! ledger, who asks.

pub mod gather;
mod lines;
pub mod list_file;
mod merge;
mod piece;
mod rows;
mod seek;
mod source_set;
mod spill;

pub use gather::{Gatherer, Member, Members, Texts};
pub use list_file::{ListFault, ListOrder, ListReading, RecipientName, read_list};
pub use seek::seek;
pub use source_set::SourceSet;
