//! Small parts that many answers share: dates and avatars.

mod avatar;
mod date;
mod people;
mod quota;

pub(in crate::api) use avatar::{Avatar, AvatarSubject};
pub(in crate::api) use date::{day, gmt, iso, rfc2822};
pub(in crate::api) use people::{GrantedList, TeamNameView};
pub(in crate::api) use quota::{LimitView, QuotaPart, QuotaView, configured};
