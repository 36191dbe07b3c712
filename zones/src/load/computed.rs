//! Computed columns and checks over the rows of a block: a row that cannot be computed is a fault of that row alone.

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{cast, concat};
use arrow::datatypes::Field;

use crate::error::Error;
use crate::sql::Expression;

/// What is wrong with one row.
#[derive(Debug)]
pub(super) struct Fault {
    /// The row's place in the block.
    pub(super) at: usize,
    pub(super) detail: String,
}

/// The values of a computed column in the column's type, and the rows for which there is none that fits without loss.
pub(super) fn column(expression: &Expression, rows: &RecordBatch, field: &Field) -> Result<(ArrayRef, Vec<Fault>), Error> {
    let (value, mut faults) = evaluated(expression, rows)?;
    for fault in &mut faults {
        fault.detail = format!("{} cannot be computed: {}", field.name(), fault.detail);
    }
    if value.data_type() == field.data_type() {
        return Ok((value, faults));
    }
    let in_cast = || Error::arrow("cast a computed column");
    let fitted = cast(&value, field.data_type()).map_err(in_cast())?;
    // What comes back as it was has lost nothing.
    let back = cast(&fitted, value.data_type()).map_err(in_cast())?;
    let is_same = not_distinct(&back, &value).map_err(in_cast())?;
    if is_same.true_count() < value.len() {
        let detail = format!("the value computed for {} does not fit its type without loss", field.name());
        let lost = (0..value.len()).filter(|row| value.is_valid(*row) && !is_same.value(*row));
        faults.extend(lost.map(|at| Fault { at, detail: detail.clone() }));
    }
    Ok((fitted, faults))
}

/// The values of an expression; null for rows for which it fails, with the reason.
pub(super) fn evaluated(expression: &Expression, rows: &RecordBatch) -> Result<(ArrayRef, Vec<Fault>), Error> {
    match expression.evaluate(rows) {
        Ok(value) => Ok((value, Vec::new())),
        Err(error) if rows.num_rows() == 0 => Err(error),
        Err(error) if rows.num_rows() == 1 => {
            let data_type = expression.data_type(rows.schema_ref())?;
            Ok((new_null_array(&data_type, 1), vec![Fault { at: 0, detail: reason(&error) }]))
        }
        Err(_) => {
            // Faults are few: halves without one are computed at once.
            let half = rows.num_rows() / 2;
            let (first, mut faults) = evaluated(expression, &rows.slice(0, half))?;
            let (second, of_second) = evaluated(expression, &rows.slice(half, rows.num_rows() - half))?;
            faults.extend(of_second.into_iter().map(|fault| Fault { at: fault.at + half, ..fault }));
            let value = concat(&[&first, &second]).map_err(Error::arrow("put rows together"))?;
            Ok((value, faults))
        }
    }
}

fn reason(error: &Error) -> String {
    if let Error::Sql { message, .. } = error { message.clone() } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray};
    use arrow::datatypes::{DataType, Schema};

    use super::*;

    fn rows() -> RecordBatch {
        let fields = vec![Field::new("text", DataType::Utf8, true), Field::new("number", DataType::Float64, true)];
        let text = StringArray::from(vec![Some("1"), Some("x"), None, Some("4"), Some("5.5")]);
        let number = Float64Array::from(vec![Some(1.0), Some(2.5), None, Some(1e300), Some(-7.0)]);
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(text), Arc::new(number)]).unwrap()
    }

    fn computed(sql: &str, data_type: DataType) -> (Vec<String>, Vec<(usize, String)>) {
        let expression = Expression::compile("c", sql, rows().schema_ref()).unwrap();
        let (values, faults) = column(&expression, &rows(), &Field::new("c", data_type, true)).unwrap();
        let shown = |row| arrow::util::display::array_value_to_string(&values, row).unwrap();
        ((0..values.len()).map(shown).collect(), faults.into_iter().map(|fault| (fault.at, fault.detail)).collect())
    }

    #[test]
    fn a_row_that_cannot_be_computed_is_a_fault_of_its_own() {
        let (values, faults) = computed("cast(text as bigint)", DataType::Int64);
        assert_eq!(values, ["1", "", "", "4", ""]);
        assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(faults[0].1, "c cannot be computed: the text 'x' is not an int64");
    }

    #[test]
    fn functions_that_are_other_expressions_in_short_are_computed() {
        assert_eq!(computed("coalesce(text, 'none')", DataType::Utf8).0, ["1", "x", "none", "4", "5.5"]);
        assert_eq!(computed("nvl(cast(number as bigint), 0) % 2", DataType::Int64).0[2], "0");
    }

    #[test]
    fn a_value_that_loses_something_in_its_type_is_a_fault() {
        let (_, faults) = computed("number", DataType::Int32);
        assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [1, 3], "2.5 has a fraction, 1e300 is too large");
        assert_eq!(faults[0].1, "the value computed for c does not fit its type without loss");
        assert!(computed("cast(number as int) + 1", DataType::Int64).1.iter().all(|fault| fault.0 == 3));
    }
}
