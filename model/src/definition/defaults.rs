//! What a definition means where it says nothing. The one place for these numbers; docs/definition.md shows them.

use super::PipelineClock;
use super::contract::{MissingFields, OnFailure, OnNull, UnknownFields};
use super::tables::{Compression, Header, TextEncoding};
use super::units::SECONDS_PER_DAY;

/// Data that is produced now is the usual case.
pub const CLOCK: PipelineClock = PipelineClock::Wall;

/// The first bytes tell every compression apart.
pub const COMPRESSION: Compression = Compression::Auto;

/// Every entry of an archive.
pub const ENTRIES: &str = "*";

/// Far above any event, and small enough for several of them in memory at once.
pub const MAX_RECORD_BYTES: u64 = 16 << 20;

/// Offsets of text columns in a batch are 32 bits, so one record must stay below 2 GiB; half of it leaves room for the rest of its row.
pub const LARGEST_MAX_RECORD_BYTES: u64 = 1 << 30;

/// A stop for archives made to fill the disk; real files of this size are split.
pub const MAX_UNPACKED_BYTES: u64 = 1 << 40;

/// A share of rejects that is not noise any more: the file or the contract is wrong.
pub const REJECT_LIMIT: f64 = 0.05;

/// Clocks of producers are wrong by minutes, time zones by hours; more is a mistake.
pub const FUTURE_TOLERANCE_SECONDS: u64 = SECONDS_PER_DAY;

/// A batch is held in memory, its keys and contents a second time in comparable form, to find duplicates.
pub const RAW_BATCH_ROWS: u64 = 250_000;

/// A commit costs some 20 ms, as much as writing this many rows: dates below it share one.
pub const SMALL_DATE_ROWS: u64 = 30_000;

/// A merge holds the folded rows of its batch in memory, beside the rows that they meet.
pub const USE_CASE_BATCH_ROWS: u64 = 250_000;

/// Nothing is lost: a person can look at the record and replay it.
pub const ON_FAILURE: OnFailure = OnFailure::Quarantine;

/// A condition that nobody can say to be true does not hold.
pub const ON_NULL: OnNull = OnNull::Fail;

/// A source may have more than a table needs; that it does is in the report all the same.
pub const UNKNOWN_FIELDS: UnknownFields = UnknownFields::Ignore;

/// Writers leave out what has no value; a column that must have one says so itself.
pub const MISSING_FIELDS: MissingFields = MissingFields::Null;

/// RFC 4180.
pub const DELIMITER: u8 = b',';
pub const QUOTE: u8 = b'"';
pub const HEADER: Header = Header::Line;
pub const ENCODING: TextEncoding = TextEncoding::Utf8;

/// CSV has no other way to write that there is no value.
pub const NULL_VALUES: [&str; 1] = [""];

/// A record without a value is set aside unless the contract allows it.
pub const NULLABLE: bool = false;

/// Cassandra refuses a longer time to live (20 years of 365 days).
pub const LARGEST_TTL_SECONDS: u64 = 20 * 365 * SECONDS_PER_DAY;

/// Rows of an answer of the API: a screen of them.
pub const PAGE_SIZE: u32 = 100;
/// What a caller may ask for at once unless the endpoint says otherwise.
pub const MAX_PAGE_SIZE: u32 = 1_000;
/// An answer is built in memory, some hundred bytes a row.
pub const LARGEST_PAGE: u32 = 10_000;
/// Partitions of one request; at some 0.3 ms each and many at a time that is half a second.
pub const MOST_BUCKETS: u64 = 10_000;
