//! Whether a merged table's SQL and folds give the same rows however the raw rows were cut into batches.
//!
//! The SQL is run over each batch by itself and its results are folded. That equals one run over all rows only if the SQL either
//! treats each row by itself, or groups by the key with aggregates that the column's fold goes on with.

mod ends;

use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use model::definition::{Fold, Merge, UseCaseTable};

use crate::sql::varying;
use ends::{By, takes_alike};

/// Why the result of a statement may depend on how batches are cut.
#[derive(Debug)]
pub(crate) struct Dependence {
    pub(crate) problem: String,
    /// The word of the statement that it is about, as near as can be told.
    pub(crate) word: String,
    /// It depends on when the statement is run, too.
    pub(crate) is_of_time: bool,
}

impl Dependence {
    fn new(problem: impl Into<String>, word: &str) -> Self {
        Self { problem: problem.into(), word: word.to_owned(), is_of_time: false }
    }
}

/// Why the result may depend on how batches are cut; `None` where it does not.
pub(crate) fn dependence(plan: &LogicalPlan, definition: &UseCaseTable) -> Option<Dependence> {
    let merge = definition.merge().filter(|merge| !merge.order_dependent)?;
    if let Some(function) = varying::of_plan(plan) {
        let problem = format!("{function}() gives something else in each run, and a row that is merged again must be the same");
        return Some(Dependence { is_of_time: true, ..Dependence::new(problem, &function) });
    }
    of_the_cut(plan, definition, merge).or_else(|| {
        let name = floating_sum(plan, merge)?;
        let problem = format!(
            "`{name}` sums floating-point numbers, and their last digits depend on the order in which they are added: make them \
             exact, as in cast({name} as decimal(18, 4))"
        );
        Some(Dependence::new(problem, &name))
    })
}

fn of_the_cut(plan: &LogicalPlan, definition: &UseCaseTable, merge: &Merge) -> Option<Dependence> {
    let mut top = plan;
    // What stands above the aggregate may only choose, name and convert its columns.
    let mut projections = Vec::new();
    let aggregate = loop {
        match top {
            LogicalPlan::Projection(projection) => {
                projections.push(projection);
                top = &projection.input;
            }
            LogicalPlan::SubqueryAlias(alias) => top = &alias.input,
            LogicalPlan::Aggregate(aggregate) => break aggregate,
            LogicalPlan::TableScan(_) => return None,
            LogicalPlan::Filter(filter) => match below(&filter.input) {
                Below::Rows => return None,
                Below::Groups => {
                    let problem = "HAVING leaves groups out, and a group that is too small in one batch may not be so in all";
                    return Some(Dependence::new(problem, "HAVING"));
                }
                Below::Other(dependence) => return Some(dependence),
            },
            other => {
                return match below(other) {
                    Below::Rows => None,
                    Below::Groups => Some(Dependence::new("it groups parts of a batch, and puts them together again", "GROUP")),
                    Below::Other(dependence) => Some(dependence),
                };
            }
        }
    };
    match below(&aggregate.input) {
        Below::Rows => {}
        Below::Groups => {
            return Some(Dependence::new("it groups what was grouped before, and batches are grouped one by one", "GROUP"));
        }
        Below::Other(dependence) => return Some(dependence),
    }
    for key in &definition.key {
        if !matches!(origin(key, &projections, aggregate), Some(Origin::Group)) {
            let problem = format!(
                "it does not group by the key column `{key}` as it is yielded: compute it first, as in \
                 FROM (SELECT ... AS {key} FROM ...) GROUP BY {key}"
            );
            return Some(Dependence::new(problem, key));
        }
    }
    for column in &merge.columns {
        if matches!(column.fold, Fold::Sql(_)) {
            continue;
        }
        let name = &column.name;
        let fits = match origin(name, &projections, aggregate) {
            Some(Origin::Aggregate(function)) => fits(&column.fold, function).and_then(|()| {
                let (Fold::FirstBy(by) | Fold::LastBy(by)) = &column.fold else { return Ok(()) };
                let by = match origin(by, &projections, aggregate) {
                    Some(Origin::Group) => By::Group,
                    Some(Origin::Aggregate(function)) => By::Aggregate(function),
                    // That column has a problem of its own.
                    None => return Ok(()),
                };
                takes_alike(&column.fold, function, &by, aggregate.input.schema())
            }),
            // Grouped by more than the key: the values of a key are folded.
            Some(Origin::Group) => Ok(()),
            None => Err("is computed from aggregates: fold its parts, and compute it with `sql` in pipeline.toml".to_owned()),
        };
        if let Err(why) = fits {
            let problem = format!("`{name}` cannot be folded with {}: it {why}", word(&column.fold));
            return Some(Dependence::new(problem, name));
        }
    }
    None
}

/// A column that is folded with sum and is not exact.
fn floating_sum(plan: &LogicalPlan, merge: &Merge) -> Option<String> {
    let is_floating =
        |name: &str| plan.schema().field_with_unqualified_name(name).is_ok_and(|field| field.data_type().is_floating());
    let mut sums = merge.columns.iter().filter(|column| column.fold == Fold::Sum);
    sums.find(|column| is_floating(&column.name)).map(|column| column.name.clone())
}

enum Below {
    /// The batch's rows, each by itself.
    Rows,
    Groups,
    Other(Dependence),
}

fn below(plan: &LogicalPlan) -> Below {
    match plan {
        LogicalPlan::TableScan(_) => Below::Rows,
        LogicalPlan::Projection(projection) => below(&projection.input),
        LogicalPlan::Filter(filter) => below(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => below(&alias.input),
        LogicalPlan::Unnest(unnest) => below(&unnest.input),
        LogicalPlan::Union(union) => {
            union.inputs.iter().map(|input| below(input)).find(|below| !matches!(below, Below::Rows)).unwrap_or(Below::Rows)
        }
        LogicalPlan::Aggregate(_) => Below::Groups,
        other => Below::Other(offence(other)),
    }
}

fn offence(plan: &LogicalPlan) -> Dependence {
    match plan {
        LogicalPlan::Window(_) => Dependence::new("a window function sees one batch and not the whole table", "OVER"),
        LogicalPlan::Limit(_) => Dependence::new("LIMIT counts the rows of one batch and not of the whole table", "LIMIT"),
        LogicalPlan::Join(_) => {
            Dependence::new("it joins a batch with itself, and rows that belong together may be in two batches", "JOIN")
        }
        LogicalPlan::Distinct(_) => Dependence::new("DISTINCT sees one batch and not the whole table", "DISTINCT"),
        LogicalPlan::Sort(_) => Dependence::new("it sorts, and the order of a table's rows is not kept", "ORDER"),
        other => {
            let step = other.display().to_string();
            let step = step.split(':').next().unwrap_or_default();
            Dependence::new(format!("it has a step ({step}) that sees one batch and not the whole table"), "SELECT")
        }
    }
}

enum Origin<'p> {
    Group,
    Aggregate(&'p AggregateFunction),
}

/// Where an output column comes from, through projections that only rename and cast.
fn origin<'p>(
    name: &str,
    projections: &[&'p datafusion::logical_expr::Projection],
    aggregate: &'p Aggregate,
) -> Option<Origin<'p>> {
    let mut name = name.to_owned();
    for projection in projections {
        let index = projection.schema.fields().iter().position(|field| *field.name() == name)?;
        name = match plain(&projection.expr[index]) {
            Expr::Column(column) => column.name.clone(),
            _ => return None,
        };
    }
    let index = aggregate.schema.fields().iter().position(|field| *field.name() == name)?;
    let groups = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
    if index < groups {
        return Some(Origin::Group);
    }
    match plain(&aggregate.aggr_expr[index - groups]) {
        Expr::AggregateFunction(function) => Some(Origin::Aggregate(function)),
        _ => None,
    }
}

fn plain(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => plain(&alias.expr),
        Expr::Cast(cast) => plain(&cast.expr),
        other => other,
    }
}

/// Whether folding the aggregates of batches gives the aggregate of all rows.
fn fits(fold: &Fold, function: &AggregateFunction) -> Result<(), String> {
    let name = function.func.name();
    let is_distinct = function.params.distinct;
    match (fold, name) {
        (Fold::Sum, "sum" | "count") if is_distinct => {
            Err("counts distinct values, and a value may be in two batches".to_owned())
        }
        (Fold::FirstBy(_) | Fold::LastBy(_), "first_value" | "last_value") if function.params.order_by.is_empty() => {
            Err(format!("is {name} without ORDER BY: which row is first depends on how they arrive"))
        }
        (Fold::Min, "min")
        | (Fold::Max, "max")
        | (Fold::Sum, "sum" | "count")
        | (Fold::Any, "bool_or")
        | (Fold::All, "bool_and")
        | (Fold::FirstBy(_) | Fold::LastBy(_), "first_value" | "last_value") => Ok(()),
        (Fold::FirstBy(_) | Fold::LastBy(_), _) => {
            Err(format!("is {name}(...) over a batch: write first_value or last_value with ORDER BY"))
        }
        (_, "avg") => Err("is avg(...) over a batch: yield sum(...) and count(...), fold both with sum, and divide them with \
                           `sql` in pipeline.toml"
            .to_owned()),
        _ => Err(format!("is {name}(...) over a batch, and that is {}", expected(fold))),
    }
}

fn expected(fold: &Fold) -> &'static str {
    match fold {
        Fold::Min => "not min(...)",
        Fold::Max => "not max(...)",
        Fold::Sum => "not sum(...) or count(...)",
        Fold::Any => "not bool_or(...)",
        Fold::All => "not bool_and(...)",
        Fold::FirstBy(_) | Fold::LastBy(_) | Fold::Sql(_) => "something else",
    }
}

fn word(fold: &Fold) -> &'static str {
    match fold {
        Fold::Min => "min",
        Fold::Max => "max",
        Fold::Sum => "sum",
        Fold::Any => "any",
        Fold::All => "all",
        Fold::FirstBy(_) => "first",
        Fold::LastBy(_) => "last",
        Fold::Sql(_) => "sql",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use model::definition::{Mode, Origin as Input, UseCaseColumn};

    use super::*;
    use crate::sql::Statement;

    fn raw() -> SchemaRef {
        let column = |name: &str, data_type| Field::new(name, data_type, true);
        let time = Field::new("t", DataType::Int64, false);
        Arc::new(Schema::new(vec![
            column("k", DataType::Int64),
            column("x", DataType::Int64),
            time,
            column("s", DataType::Int64),
        ]))
    }

    async fn said(sql: &str, fold: Fold) -> Option<String> {
        let columns = vec![
            UseCaseColumn { name: "t".into(), fold: Fold::Max },
            UseCaseColumn { name: "x".into(), fold },
            UseCaseColumn { name: "y".into(), fold: Fold::Sql("x + 1".into()) },
        ];
        let merge = Merge { columns, batch_rows: 1, delete_when: None, order_dependent: false };
        let table = UseCaseTable {
            name: "folded".into(),
            from: vec![Input::Raw("rows".into())],
            sql: sql.into(),
            sql_file: "folded.sql".into(),
            key: vec!["k".into()],
            partition_by: None,
            mode: Mode::Merge(merge),
        };
        let statement = Statement { place: "folded.sql".into(), input: "rows".into(), sql: sql.into() };
        dependence(&statement.logical_plan(&raw()).await.unwrap(), &table).map(|dependence| dependence.problem)
    }

    #[tokio::test]
    async fn what_goes_on_from_batch_to_batch_is_accepted() {
        let last = || Fold::LastBy("t".into());
        for (sql, fold) in [
            ("SELECT k, t, x FROM rows", last()),
            ("SELECT k, t, x FROM rows WHERE x > 1", Fold::Sum),
            ("SELECT k, max(t) AS t, min(x) AS x FROM rows GROUP BY k", Fold::Min),
            ("SELECT k, max(t) AS t, count(*) AS x FROM rows GROUP BY k", Fold::Sum),
            ("SELECT k, max(t) AS t, cast(sum(x) AS bigint) AS x FROM (SELECT k, t, x + 1 AS x FROM rows) GROUP BY k", Fold::Sum),
            ("SELECT k, max(t) AS t, last_value(x ORDER BY t, x NULLS FIRST) AS x FROM rows GROUP BY k", last()),
            ("SELECT k, max(t) AS t, first_value(x ORDER BY t DESC, x DESC NULLS LAST) AS x FROM rows GROUP BY k", last()),
            (
                "SELECT k, max(t) FILTER (WHERE x IS NOT NULL) AS t, last_value(x ORDER BY t, x) FILTER (WHERE x IS NOT NULL) AS x
                 FROM rows GROUP BY k",
                last(),
            ),
            ("SELECT k, max(s) AS t, last_value(x ORDER BY s NULLS FIRST, x NULLS FIRST) AS x FROM rows GROUP BY k", last()),
            ("SELECT k, t, last_value(x ORDER BY x NULLS FIRST) AS x FROM rows GROUP BY k, t", last()),
            ("WITH a AS (SELECT k, max(t) AS t, bool_or(x > 1) AS x FROM rows GROUP BY 1) SELECT k, t, x FROM a", Fold::Any),
            ("SELECT k, x, max(t) AS t FROM rows GROUP BY k, x", Fold::Max),
            ("SELECT k, t, x FROM rows UNION ALL SELECT k, t, -x FROM rows", Fold::Sum),
        ] {
            assert_eq!(said(sql, fold).await, None, "{sql}");
        }
    }

    #[tokio::test]
    async fn what_depends_on_the_cut_is_refused_with_the_reason() {
        let last = || Fold::LastBy("t".into());
        for (sql, fold, reason) in [
            ("SELECT k, max(t) AS t, count(*) AS x FROM rows GROUP BY k", Fold::Max, "it is count(...) over a batch"),
            ("SELECT k, max(t) AS t, avg(x) AS x FROM rows GROUP BY k", Fold::Sum, "it is avg(...) over a batch"),
            ("SELECT k, max(t) AS t, count(DISTINCT x) AS x FROM rows GROUP BY k", Fold::Sum, "counts distinct values"),
            ("SELECT k, max(t) AS t, sum(x) / count(*) AS x FROM rows GROUP BY k", Fold::Sum, "computed from aggregates"),
            ("SELECT k, max(t) AS t, last_value(x) AS x FROM rows GROUP BY k", last(), "without ORDER BY"),
            ("SELECT k, max(t) AS t, max(x) AS x FROM rows GROUP BY k", last(), "first_value or last_value"),
            (
                "SELECT k, max(t) AS t, last_value(x ORDER BY t) AS x FROM rows GROUP BY k",
                last(),
                "which of several rows at the same place is taken: write last_value(x ORDER BY t, x NULLS FIRST)",
            ),
            (
                "SELECT k, max(t) AS t, last_value(x ORDER BY t, x) AS x FROM rows GROUP BY k",
                last(),
                "a row without a value before",
            ),
            ("SELECT k, max(t) AS t, first_value(x ORDER BY t, x) AS x FROM rows GROUP BY k", last(), "the other end"),
            ("SELECT k, max(t) AS t, last_value(x ORDER BY s, x) AS x FROM rows GROUP BY k", last(), "not in the order of t"),
            (
                "SELECT k, max(s) AS t, last_value(x ORDER BY s, x NULLS FIRST) AS x FROM rows GROUP BY k",
                last(),
                "a row without s before one that has s: write last_value(x ORDER BY s NULLS FIRST, x NULLS FIRST)",
            ),
            (
                "SELECT k, max(t) AS t, last_value(x ORDER BY t, x NULLS FIRST) FILTER (WHERE x > 0) AS x FROM rows GROUP BY k",
                last(),
                "is taken of other rows than max(t)",
            ),
            ("SELECT k, max(t) AS t, sum(x) AS x FROM rows GROUP BY k HAVING count(*) > 1", Fold::Sum, "HAVING"),
            ("SELECT k, t, row_number() OVER (PARTITION BY k ORDER BY t) AS x FROM rows", Fold::Max, "window function"),
            ("SELECT k, t, x * 0.5 AS x FROM rows", Fold::Sum, "last digits depend on the order"),
            ("SELECT k, max(t) AS t, sum(cast(x AS double)) AS x FROM rows GROUP BY k", Fold::Sum, "cast(x as decimal(18, 4))"),
            ("SELECT k, t, x FROM rows LIMIT 5", Fold::Max, "LIMIT"),
            ("SELECT k % 2 + 0 AS k, max(t) AS t, sum(x) AS x FROM rows GROUP BY k", Fold::Sum, "does not group by the key"),
            ("SELECT a.k, a.t, b.x FROM rows a JOIN rows b ON a.k = b.k", Fold::Sum, "joins a batch with itself"),
            ("SELECT DISTINCT k, t, x FROM rows", Fold::Sum, "DISTINCT"),
            ("SELECT k, t, x FROM rows WHERE to_timestamp(t) < now()", Fold::Sum, "now() gives something else in each run"),
        ] {
            let said = said(sql, fold).await.unwrap_or_else(|| panic!("accepted: {sql}"));
            assert!(said.contains(reason), "{sql}: {said}");
        }
    }
}
