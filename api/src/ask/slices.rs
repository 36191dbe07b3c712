//! Which rows of a partition are asked for, as conditions on its clustering columns.
//!
//! Rows after a given one are a union: those equal to it in all columns but the last and after it there, then those equal in all
//! but the last two, and so on. Cassandra has no single condition for it where columns differ in their order, and each of these
//! is a slice of the partition that it reads in order. Nothing is skipped and nothing comes twice, whatever was written between
//! two pages; a row that was written before the place where a reader is belongs to pages that the reader has had.

use cassandra::lookup::{Comparison, KeyValue};
use model::definition::Order;

use crate::endpoint::{Bounds, Endpoint};

/// Conditions of one statement: a clustering column by its place, and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) conditions: Vec<(usize, Comparison, KeyValue)>,
}

/// The order in which a clustering column is read.
pub(super) fn order(endpoint: &Endpoint, column: usize) -> Order {
    flipped(endpoint.clustering[column].1, endpoint.reverse)
}

fn flipped(order: Order, flip: bool) -> Order {
    match (order, flip) {
        (Order::Asc, false) | (Order::Desc, true) => Order::Asc,
        (Order::Desc, false) | (Order::Asc, true) => Order::Desc,
    }
}

/// The slices in the order of their rows. `given` are the values of the first clustering columns; `after` those of all of them, of the
/// row after which to begin.
pub(super) fn slices(endpoint: &Endpoint, given: &[KeyValue], bounds: Bounds, after: Option<&[KeyValue]>) -> Vec<Slice> {
    let equal = |columns: usize, values: &[KeyValue]| -> Vec<(usize, Comparison, KeyValue)> {
        values.iter().take(columns).cloned().enumerate().map(|(column, value)| (column, Comparison::Equal, value)).collect()
    };
    let ranged = ranged(endpoint);
    let bound = |number: i64| {
        let range = endpoint.range.as_ref().expect("a bound is of a range");
        KeyValue::number(range.column.cql_type, number).expect("ranges are over types of numbers")
    };
    let lower =
        |column: usize| bounds.from.filter(|_| ranged == Some(column)).map(|from| (column, Comparison::AtLeast, bound(from)));
    let upper = |column: usize| bounds.to.filter(|_| ranged == Some(column)).map(|to| (column, Comparison::Less, bound(to)));
    let Some(after) = after else {
        let mut conditions = equal(given.len(), given);
        conditions.extend(ranged.and_then(lower));
        conditions.extend(ranged.and_then(upper));
        return vec![Slice { conditions }];
    };
    let slice = |column: usize| {
        let mut conditions = equal(column, after);
        let value = after[column].clone();
        match order(endpoint, column) {
            Order::Asc => {
                conditions.push((column, Comparison::Greater, value));
                conditions.extend(upper(column));
            }
            Order::Desc => {
                conditions.extend(lower(column));
                conditions.push((column, Comparison::Less, value));
            }
        }
        Slice { conditions }
    };
    (given.len()..endpoint.clustering.len()).rev().map(slice).collect()
}

/// The clustering column that the range is over.
pub(super) fn ranged(endpoint: &Endpoint) -> Option<usize> {
    let range = endpoint.range.as_ref()?;
    endpoint.clustering.iter().position(|(column, _)| column.name == range.column.name)
}

/// Whether buckets are read from the latest to the earliest.
pub(super) fn newest_bucket_first(endpoint: &Endpoint) -> bool {
    match ranged(endpoint) {
        Some(column) => order(endpoint, column) == Order::Desc,
        None => !endpoint.reverse,
    }
}
