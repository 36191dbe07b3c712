//! Whether `first_value` and `last_value` take of a batch's rows the one that the fold would take.
//!
//! The fold looks at what came out of each batch: the value and the `by` that it was taken at. So both must be of the same rows, in
//! the order of `by`, never of a row without a `by`, and where several rows have the same `by` the batch must decide as the
//! fold does: for `first` the smallest value, for `last` the largest, and a value before none.

use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use model::definition::Fold;

use super::plain;

/// Where the column comes from that the fold goes by.
pub(super) enum By<'p> {
    /// All rows of a group have the same.
    Group,
    Aggregate(&'p AggregateFunction),
}

/// Why the row that is taken of a batch may be another one than the fold takes of all rows.
pub(super) fn takes_alike(fold: &Fold, function: &AggregateFunction, by: &By<'_>, rows: &DFSchema) -> Result<(), String> {
    let (wanted, is_last) = match fold {
        Fold::LastBy(_) => ("last_value", true),
        _ => ("first_value", false),
    };
    let Some(value) = function.params.args.first() else { return Err(format!("is {wanted}() of nothing")) };
    let order = &function.params.order_by;
    let is_of_last_value = function.func.name() == "last_value";
    let may_be_null = |expression: &Expr| {
        let is_left_out = function.params.filter.as_deref().is_some_and(|filter| leaves_out(filter, expression));
        !is_left_out && rows_may_be_null(expression, rows)
    };
    // Where the largest is taken: at the end that is taken nulls would stand, or at the other one.
    let goes_up = |sort: &Sort| sort.asc == is_of_last_value;
    let nulls_are_taken = |sort: &Sort| sort.nulls_first != is_of_last_value;

    let (by_value, ties) = match by {
        By::Group => (None, order.as_slice()),
        By::Aggregate(by) => {
            let Some(at) = by.params.args.first() else { return Ok(()) };
            let written = written(wanted, value, Some(at), is_last, &may_be_null);
            let Some(first) = order.first().filter(|sort| plain(&sort.expr) == plain(at)) else {
                return Err(format!("is not in the order of {}: write {written}", shown(at)));
            };
            if goes_up(first) != is_last {
                return Err(format!("takes the other end of the order of {}: write {written}", shown(at)));
            }
            if nulls_are_taken(first) && may_be_null(at) {
                return Err(format!("takes a row without {0} before one that has {0}: write {written}", shown(at)));
            }
            if function.params.filter != by.params.filter {
                let why = format!("is taken of other rows than {}({})", by.func.name(), shown(at));
                return Err(format!("{why}: give both the same FILTER"));
            }
            (Some(at), &order[1..])
        }
    };
    let written = written(wanted, value, by_value, is_last, &may_be_null);
    let is_decided = ties.first().is_some_and(|sort| plain(&sort.expr) == plain(value) && goes_up(sort) == is_last);
    if !is_decided {
        return Err(format!("leaves open which of several rows at the same place is taken: write {written}"));
    }
    if nulls_are_taken(&ties[0]) && may_be_null(value) {
        return Err(format!("takes a row without a value before one that has one, at the same place: write {written}"));
    }
    Ok(())
}

/// How it has to be written.
fn written(function: &str, value: &Expr, by: Option<&Expr>, is_last: bool, may_be_null: &dyn Fn(&Expr) -> bool) -> String {
    let sorted = |expression: &Expr| {
        let nulls = if is_last && may_be_null(expression) { " NULLS FIRST" } else { "" };
        format!("{}{nulls}", shown(expression))
    };
    let order: Vec<String> = by.into_iter().chain([value]).map(sorted).collect();
    format!("{function}({} ORDER BY {})", shown(value), order.join(", "))
}

fn rows_may_be_null(expression: &Expr, rows: &DFSchema) -> bool {
    use datafusion::logical_expr::ExprSchemable;
    expression.nullable(rows).unwrap_or(true)
}

/// Whether a filter is only true where the expression has a value.
fn leaves_out(filter: &Expr, expression: &Expr) -> bool {
    match filter {
        Expr::IsNotNull(inner) => plain(inner) == plain(expression),
        Expr::BinaryExpr(both) if both.op == datafusion::logical_expr::Operator::And => {
            leaves_out(&both.left, expression) || leaves_out(&both.right, expression)
        }
        _ => false,
    }
}

/// As a person would write it: without the table's name.
fn shown(expression: &Expr) -> String {
    match plain(expression) {
        Expr::Column(column) => column.name.clone(),
        other => other.human_display().to_string(),
    }
}
