//! Rows as the bytes of their values, of the lake and of Cassandra alike: two rows are equal if and only if these bytes are.
//!
//! A row of the lake is encoded just as it would be sent; a row of Cassandra is taken as it comes from the wire. So nothing is
//! lost in between: null is not empty, -0.0 is not 0.0, a decimal keeps its scale, and a time has the milliseconds that
//! Cassandra has. Nothing here changes a table.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use model::Share;
use scylla::client::session::Session;
use scylla::deserialize::row::ColumnIterator;
use scylla::response::PagingState;
use scylla::statement::prepared::PreparedStatement;

use crate::connect::Store;
use crate::cql;
use crate::encode::{self, Nulls, Rows, cells};
use crate::mutations::token_of;
use crate::read::{Error, WriteTimes, column};
use crate::request::Purpose;
use crate::schema::{Role, TableDesign};

/// Rows in one page.
const PAGE_ROWS: i32 = 5_000;

/// Encoded rows; columns are in the order of the table's design.
#[derive(Debug, Default)]
pub struct WireRows {
    values: Vec<u8>,
    rows: Vec<Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    key_end: usize,
    end: usize,
    token: i64,
    newest_write: Option<i64>,
}

impl WireRows {
    /// Rows of the lake, as the table's SQL yields them.
    pub fn of(design: &TableDesign, batch: &RecordBatch) -> Result<Self, encode::Error> {
        let rows = Rows::of_upserts(design, batch, Nulls::Write)?;
        let mut encoded = Self::default();
        for row in 0..rows.len() {
            let start = encoded.values.len();
            let layout = rows.append(row, &mut encoded.values)?;
            encoded.push(start, start + layout.partition, start + layout.key, None);
        }
        Ok(encoded)
    }

    /// Notes the row whose values were just appended.
    fn push(&mut self, start: usize, partition_end: usize, key_end: usize, newest_write: Option<i64>) {
        let token = token_of(&self.values[start..partition_end]);
        self.rows.push(Place { start, key_end, end: self.values.len(), token, newest_write });
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The bytes of all values.
    pub fn bytes(&self) -> u64 {
        self.values.len() as u64
    }

    /// The primary key.
    pub fn key(&self, row: usize) -> &[u8] {
        let place = self.rows[row];
        &self.values[place.start..place.key_end]
    }

    /// All values, the primary key first.
    pub fn values(&self, row: usize) -> &[u8] {
        let place = self.rows[row];
        &self.values[place.start..place.end]
    }

    /// When the newest of its values outside the key was written, in microseconds; only where a scan was asked for it.
    pub fn newest_write(&self, row: usize) -> Option<i64> {
        self.rows[row].newest_write
    }

    /// Whether the row's partition is in the share: a share is a part of the ring, from its beginning.
    pub fn is_in(&self, row: usize, share: Share) -> bool {
        share.holds(place_on_ring(self.rows[row].token))
    }
}

/// Tokens from 0, in their order.
fn place_on_ring(token: i64) -> u64 {
    token.cast_unsigned() ^ (1 << 63)
}

/// The last token that can be in the share.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is between 0 and 1")]
fn last_token(share: Share) -> i64 {
    let steps = (share.fraction() * (1_u64 << 48) as f64).ceil() as u64;
    let place = if steps >= 1 << 48 { u64::MAX } else { (steps << 16) | 0xFFFF };
    (place ^ (1 << 63)).cast_signed()
}

impl TableDesign {
    /// A primary key for people: `order_id=..., ts=...`.
    pub fn key_text(&self, key: &[u8]) -> String {
        let names = self.columns[..self.key_len()].iter();
        names.zip(self.texts(key)).map(|(column, text)| format!("{}={text}", column.name)).collect::<Vec<_>>().join(", ")
    }

    /// The columns outside the key whose values differ, each with both values for people: `amount is 3, should be 2`.
    pub fn differing(&self, should_be: &[u8], is: &[u8]) -> Vec<String> {
        let both = cells(should_be).zip(cells(is)).zip(self.texts(should_be).into_iter().zip(self.texts(is)));
        let both = self.columns.iter().zip(both).skip(self.key_len());
        let differing = both.filter(|(_, ((should_be, is), _))| should_be != is);
        differing.map(|(column, (_, (should_be, is)))| format!("{} is {is}, should be {should_be}", column.name)).collect()
    }

    fn texts(&self, values: &[u8]) -> Vec<String> {
        let options = FormatOptions::new().with_null("null");
        let text = |cell: Option<&[u8]>, cql_type| {
            let mut builder = column::Builder::new(cql_type);
            builder.append(cell)?;
            let array = builder.finish();
            ArrayFormatter::try_new(array.as_ref(), &options).ok()?.value(0).try_to_string().ok()
        };
        let cells = cells(values).zip(&self.columns);
        cells.map(|(cell, column)| text(cell, column.cql_type).unwrap_or_else(|| "?".to_owned())).collect()
    }
}

/// What Cassandra holds of one key after these rows were sent, each with the write time of its version.
///
/// As [`crate::mutations`] has it: the last version wins, and of one version the larger bytes. Where nulls are left unset, a
/// column has the newest value that was sent for it.
pub fn settled(mut sent: Vec<(i64, Vec<u8>)>, nulls: Nulls) -> Vec<u8> {
    sent.sort_unstable();
    let is_whole = |row: &[u8]| nulls == Nulls::Write || cells(row).all(|cell| cell.is_some());
    let first = sent.iter().rposition(|(_, row)| is_whole(row)).unwrap_or(0);
    let sent = &sent[first..];
    let Some((_, last)) = sent.last() else { return Vec::new() };
    let mut settled = Vec::with_capacity(last.len());
    for column in 0..cells(last).count() {
        let value = |(time, row): &'_ (i64, Vec<u8>)| cells(row).nth(column).flatten().map(|cell| (*time, cell.to_vec()));
        let newest = if sent.len() == 1 { value(&sent[0]) } else { sent.iter().filter_map(value).max() };
        encode::append_cell(newest.as_ref().map(|(_, cell)| cell.as_slice()), &mut settled);
    }
    settled
}

/// A table of Cassandra, page by page in the order of the ring.
pub struct WireScan {
    session: Arc<Session>,
    statement: PreparedStatement,
    bound: Option<i64>,
    table: String,
    columns: usize,
    key_columns: usize,
    partition_columns: usize,
    next: Option<PagingState>,
}

impl Store {
    /// Reads all of a table, or the share of it; the table must be as its design says.
    pub async fn wire_scan(
        &self,
        design: &TableDesign,
        share: Option<Share>,
        write_times: WriteTimes,
    ) -> Result<WireScan, Error> {
        self.check_table(design).await?;
        let table = self.full_name(design.name());
        let mut selected: Vec<String> = design.columns.iter().map(|column| cql::name(&column.name).into_owned()).collect();
        if write_times == WriteTimes::Include {
            let regular = design.columns.iter().filter(|column| column.role == Role::Regular);
            selected.extend(regular.map(|column| format!("writetime({})", cql::name(&column.name))));
        }
        let mut text = format!("SELECT {} FROM {}.{}", selected.join(", "), cql::name(&self.keyspace), cql::name(design.name()));
        let bound = share.map(last_token);
        if bound.is_some() {
            let partition = design.columns[..design.partition_len()].iter().map(|column| column.name.as_str());
            text = format!("{text} WHERE token({}) <= ?", cql::names(partition));
        }
        let mut statement = self.session.prepare(text).await.purpose(|| format!("read {table}"))?;
        statement.set_page_size(PAGE_ROWS);
        statement.set_is_idempotent(true);
        Ok(WireScan {
            session: Arc::clone(&self.session),
            statement,
            bound,
            table,
            columns: design.columns.len(),
            key_columns: design.key_len(),
            partition_columns: design.partition_len(),
            next: Some(PagingState::start()),
        })
    }
}

impl WireScan {
    /// The next page; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<WireRows>, Error> {
        let purpose = || format!("read {}", self.table);
        while let Some(from) = self.next.take() {
            let answered = match self.bound {
                Some(bound) => self.session.execute_single_page(&self.statement, (bound,), from).await,
                None => self.session.execute_single_page(&self.statement, (), from).await,
            };
            let (page, state) = answered.purpose(purpose)?;
            if let std::ops::ControlFlow::Continue(state) = state.into_paging_control_flow() {
                self.next = Some(state);
            }
            let page = page.into_rows_result().purpose(purpose)?;
            let mut rows = WireRows::default();
            for row in page.rows::<ColumnIterator<'_, '_>>().purpose(purpose)? {
                let start = rows.values.len();
                let (mut partition_end, mut key_end, mut newest_write) = (start, start, None);
                for (at, cell) in row.purpose(purpose)?.enumerate() {
                    let value = cell.purpose(purpose)?.slice.map(|slice| slice.as_slice());
                    if at < self.columns {
                        encode::append_cell(value, &mut rows.values);
                    } else {
                        let micros = value.and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
                        newest_write = newest_write.max(micros);
                    }
                    if at < self.partition_columns {
                        partition_end = rows.values.len();
                    }
                    if at < self.key_columns {
                        key_end = rows.values.len();
                    }
                    if at + 1 == self.columns {
                        // Where the row ends; write times come behind it.
                        rows.rows.push(Place { start, key_end, end: rows.values.len(), token: 0, newest_write: None });
                    }
                }
                if let Some(place) = rows.rows.last_mut() {
                    place.newest_write = newest_write;
                    place.token = token_of(&rows.values[start..partition_end]);
                }
            }
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[Option<&str>]) -> Vec<u8> {
        let mut row = Vec::new();
        for cell in cells {
            encode::append_cell(cell.map(str::as_bytes), &mut row);
        }
        row
    }

    #[test]
    fn the_last_row_of_a_key_settles_what_is_there_and_unset_columns_keep_what_they_had() {
        let sent = || {
            vec![
                (3, row(&[Some("k"), None, Some("new")])),
                (2, row(&[Some("k"), Some("middle"), None])),
                (1, row(&[Some("k"), Some("old"), Some("old")])),
            ]
        };
        assert_eq!(settled(sent(), Nulls::Write), row(&[Some("k"), None, Some("new")]));
        assert_eq!(settled(sent(), Nulls::Unset), row(&[Some("k"), Some("middle"), Some("new")]));
        let twice = vec![(1, row(&[Some("k"), Some("b")])), (1, row(&[Some("k"), Some("a")]))];
        assert_eq!(settled(twice, Nulls::Unset), row(&[Some("k"), Some("b")]));
    }

    #[test]
    fn a_share_of_the_ring_is_bounded_by_its_last_token() {
        for fraction in [0.000_001, 0.01, 0.5, 0.999, 1.0] {
            let share = Share::of(fraction).unwrap();
            let last = last_token(share);
            assert!(!share.holds(place_on_ring(last.saturating_add(1))) || last == i64::MAX, "{fraction}");
            assert!(share.holds(place_on_ring(i64::MIN)));
        }
        assert_eq!(last_token(Share::of(1.0).unwrap()), i64::MAX);
    }
}
