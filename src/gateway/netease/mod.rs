//! NetEase Yunxin's server API, and gateways of applications that were modelled on it.
//!
//! Two kinds share what stands here: who we are there ([`signer`]), how a request gets there
//! ([`caller`]), what a code means ([`codes`]), how long a text may be ([`lengths`]). [`im`] speaks the
//! provider's own API, [`send_to_all`] that of one application's `sendMsgToAll.action` and the likes.

pub mod accid;
pub mod account;
pub mod caller;
mod codes;
pub mod im;

mod lengths;
pub mod send_to_all;
pub mod signer;
