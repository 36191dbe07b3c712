//! The stages, one file each. A stage can be stopped at any instruction and started again: the end state is the same.

pub mod create_tables;
pub mod landing_to_raw;
pub mod raw_to_use_case;
pub mod to_cassandra;
pub mod url_to_landing;
