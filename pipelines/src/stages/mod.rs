//! The stages, one file each.

pub mod url_to_landing;
