//! The pictures of a subject, one file each, with the table behind it.

pub(super) mod days;
pub(super) mod hidden;
pub(super) mod lag;
pub(super) mod light;
pub(super) mod map;
pub(super) mod spans;
