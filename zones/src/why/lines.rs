//! Records of a landed file as they stand in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use model::definition::{Format, Landing, RawTable};
use model::shutdown::Shutdown;

use crate::decode::again::RowsAgain;
use crate::decode::{self, Decoder, Piece};
use crate::entries;
use crate::error::Error;

/// Positions by entry.
pub type Wanted = BTreeMap<String, BTreeSet<u64>>;

/// The bytes of the wanted records, by entry and position. Reads the file up to the last of them. `folder` is for what has to be
/// unpacked to be read.
pub fn lines(
    file: &Path,
    (landing, table): (&Landing, &RawTable),
    mut wanted: Wanted,
    folder: &Path,
    shutdown: &Shutdown,
) -> Result<BTreeMap<(String, u64), Vec<u8>>, Error> {
    let decoder = Decoder::new(table, &landing.format);
    let mut found = BTreeMap::new();
    for entry in entries::open(file, landing).map_err(Error::entry)? {
        let entry = entry.map_err(Error::entry)?;
        let Some((name, mut positions)) = wanted.remove_entry(&entry.name) else { continue };
        if landing.format == Format::Parquet {
            let positions: Vec<u64> = positions.into_iter().collect();
            let mut rows = RowsAgain::open(entry, folder, &positions)?;
            let mut next = 0;
            while let Some(block) = rows.next_block()? {
                for row in 0..block.records() {
                    found.insert((name.clone(), positions[next]), block.record(&(row..row + 1)));
                    next += 1;
                }
            }
        } else {
            let mut pieces = decode::open(entry, &landing.format, &decoder, landing.max_record_bytes, folder)?;
            while let Some(piece) = if positions.is_empty() { None } else { pieces.next_piece()? } {
                shutdown.check()?;
                let Piece::Records(block) = piece else { continue };
                let records = decoder.decode(&block);
                for (position, span) in records.positions.iter().zip(&records.spans) {
                    if positions.remove(position) {
                        found.insert((name.clone(), *position), block.record(span));
                    }
                }
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(found)
}
