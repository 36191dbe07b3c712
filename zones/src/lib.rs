//! The lake: landing, raw and use-case zones over Delta Lake.

pub mod entries;
pub mod landing;
