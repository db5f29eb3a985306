//! Telling: the usage log, inboxes, and messages to everyone.
//!
//! Called by the doors in `api` and by `jobs`. What changes something writes its line of the usage log
//! itself, in the transaction of the change; here is what belongs to no transaction ([`Audit::pulled`],
//! [`Audit::note`]), how the log is read ([`Audit::list`], [`Audit::aggregate`], [`Audit::activity`]), and
//! how old lines go ([`Audit::rotate`]).
//!
//! Promises: noting never waits and never fails a request; memory is bounded, whoever pulls what; what is
//! read holds everything noted before. What was noted is written within half a minute, so a crash loses
//! that much of it (CR-11), and an orderly end nothing. Changes lose nothing, ever.
//!
//! An inbox is filled by whoever has something to tell, in the transaction of the fact
//! (`store::Notices::put`); here it is read, and dismissed from.

mod activity;
mod audit;
mod error;
mod inbox;
mod messages;
mod metrics;
mod noted;
mod pull;
mod read;
#[cfg(test)]
mod tests;

pub use audit::{Audit, Parts};
pub use error::Error;
pub use inbox::{Inbox, InboxPage, Notice};
pub use messages::{MAXIMUM_MESSAGES, Messages};
pub use metrics::Metrics;
pub use pull::Pull;
pub use read::{DayCount, Listed, LogPage, Owner};
