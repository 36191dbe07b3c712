//! An encoded row as the driver takes it.

use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;

use super::column::{NULL, UNSET};

/// The values of one statement: those of a row, with its write time before or after them where the statement asks for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WireRow<'a> {
    /// As [`super::Rows::append`] leaves them.
    pub(crate) values: &'a [u8],
    pub(crate) write_time: WriteTime,
}

/// Where the marker of `USING TIMESTAMP ?` stands in the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteTime {
    /// The statement has none; the request carries the write time.
    OfRequest,
    /// Before the key, as in a delete.
    First(i64),
    /// After all values, as in an insert.
    Last(i64),
}

impl SerializeRow for WireRow<'_> {
    fn serialize(&self, _: &RowSerializationContext<'_>, writer: &mut RowWriter<'_>) -> Result<(), SerializationError> {
        if let WriteTime::First(micros) = self.write_time {
            writer.make_cell_writer().set_value(&micros.to_be_bytes()).map_err(SerializationError::new)?;
        }
        for value in values(self.values) {
            let cell = writer.make_cell_writer();
            match value {
                Value::Null => cell.set_null(),
                Value::Unset => cell.set_unset(),
                Value::Bytes(bytes) => cell.set_value(bytes).map_err(SerializationError::new)?,
            };
        }
        if let WriteTime::Last(micros) = self.write_time {
            writer.make_cell_writer().set_value(&micros.to_be_bytes()).map_err(SerializationError::new)?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        false
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Null,
    Unset,
    Bytes(&'a [u8]),
}

fn values(mut rest: &[u8]) -> impl Iterator<Item = Value<'_>> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        rest = after;
        Some(match usize::try_from(length) {
            Ok(length) => {
                let (value, after) = rest.split_at(length);
                rest = after;
                Value::Bytes(value)
            }
            Err(_) if length == UNSET => Value::Unset,
            Err(_) => {
                debug_assert_eq!(length, NULL);
                Value::Null
            }
        })
    })
}

/// The bytes of each value of a row; `None` where it is null or left as it is.
pub(crate) fn cells(row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    values(row).map(|value| match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::Null | Value::Unset => None,
    })
}

/// Appends a value as it came from the server, in the form in which rows are sent.
pub(crate) fn append_cell(value: Option<&[u8]>, out: &mut Vec<u8>) {
    let length = value.map_or(NULL, |value| i32::try_from(value.len()).expect("a frame is under 2 GiB"));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}

/// Whether a row leaves a column as it is.
pub(crate) fn has_unset(row: &[u8]) -> bool {
    values(row).any(|value| value == Value::Unset)
}

/// The bytes of the first value, which is not null.
pub(crate) fn first_value(row: &[u8]) -> &[u8] {
    present_values(row).next().unwrap_or(&[])
}

/// The bytes of the values of a row that are neither null nor unset.
pub(crate) fn present_values(row: &[u8]) -> impl Iterator<Item = &[u8]> {
    values(row).filter_map(|value| match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::Null | Value::Unset => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_sent_as_it_was_encoded_with_its_write_time_where_the_statement_has_it() {
        let values = [&2_i32.to_be_bytes()[..], b"FI", &NULL.to_be_bytes(), &UNSET.to_be_bytes(), &0_i32.to_be_bytes()].concat();
        let time = [&8_i32.to_be_bytes()[..], &7_i64.to_be_bytes()].concat();
        let sent = |write_time| {
            let mut out = Vec::new();
            let mut writer = RowWriter::new(&mut out);
            let row = WireRow { values: &values, write_time };
            row.serialize(&RowSerializationContext::empty(), &mut writer).unwrap();
            let count = writer.value_count();
            (count, out)
        };
        assert_eq!(sent(WriteTime::OfRequest), (4, values.clone()));
        assert_eq!(sent(WriteTime::First(7)), (5, [&time[..], &values].concat()));
        assert_eq!(sent(WriteTime::Last(7)), (5, [&values[..], &time].concat()));
    }
}
