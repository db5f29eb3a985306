//! Small parts that many answers share: dates and avatars.

mod avatar;
mod date;

pub(in crate::api) use avatar::{Avatar, AvatarSubject};
pub(in crate::api) use date::{day, gmt, iso, rfc2822};
