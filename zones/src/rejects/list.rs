//! Records one by one, as they were received.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde::Serialize;

use super::{Filter, instants, numbers, records, stopped, text};
use crate::delta::{ReadPlan, Table};
use crate::error::Error;

/// How much of a record is shown where it stands beside others.
pub(super) const SHOWN_BYTES: usize = 200;

/// A record in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    pub table: String,
    pub receipt: i64,
    pub entry: String,
    pub position: i64,
    pub reason: String,
    pub detail: String,
    pub rejected_at: DateTime<Utc>,
    /// The hash of the part of the definition under which it was set aside.
    pub definition: String,
    pub is_stopped: bool,
    #[serde(skip)]
    pub bytes: Vec<u8>,
    /// The bytes, what is not plain text escaped.
    pub record: String,
}

/// The records that are meant, in order of load, entry and position as they lie; at most `limit` of them.
pub async fn held(quarantine: &Table, filter: &Filter, limit: Option<usize>) -> Result<Vec<Held>, Error> {
    let mut held = Vec::new();
    let mut files = quarantine.files(None)?;
    files.sort_by(|a, b| (&a.partition, &a.path).cmp(&(&b.partition, &b.path)));
    let plan = ReadPlan::all(quarantine);
    for file in files {
        let mut batches = quarantine.read_file(&file.path, &file.partition, &plan).await?;
        while let Some(rows) = batches.try_next().await? {
            let holds = filter.holds(&rows)?;
            for row in (0..rows.num_rows()).filter(|row| holds[*row]) {
                if limit.is_some_and(|limit| held.len() >= limit) {
                    return Ok(held);
                }
                let bytes = records(&rows).value(row).to_vec();
                held.push(Held {
                    table: format!("raw.{}", text(&rows, "raw_table").value(row)),
                    receipt: numbers(&rows, "receipt").value(row),
                    entry: text(&rows, "entry").value(row).to_owned(),
                    position: numbers(&rows, "position").value(row),
                    reason: text(&rows, "reason").value(row).to_owned(),
                    detail: text(&rows, "detail").value(row).to_owned(),
                    rejected_at: DateTime::from_timestamp_micros(instants(&rows).value(row)).unwrap_or_default(),
                    definition: text(&rows, "definition").value(row).to_owned(),
                    is_stopped: stopped(&rows).value(row),
                    record: shown(&bytes, usize::MAX),
                    bytes,
                });
            }
        }
    }
    Ok(held)
}

/// Bytes as text: what is not UTF-8, and what a terminal would act on, escaped; at most the first `limit` bytes.
pub fn shown(bytes: &[u8], limit: usize) -> String {
    let is_cut = bytes.len() > limit;
    let mut text = String::new();
    for chunk in bytes[..bytes.len().min(limit)].utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push('\t'),
                control if control.is_control() => {
                    write!(text, "\\u{{{:x}}}", u32::from(control)).expect("a String takes any text");
                }
                letter => text.push(letter),
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("a String takes any text");
        }
    }
    if is_cut {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_they_are_but_for_what_is_no_text() {
        assert_eq!(shown(b"{\"a\":\"\xc3\xb6\"}", 100), "{\"a\":\"\u{f6}\"}");
        assert_eq!(shown(b"a\xff\n\x1b[31m", 100), "a\\xff\\n\\u{1b}[31m");
        assert_eq!(shown(b"abcdef", 3), "abc...");
    }
}
