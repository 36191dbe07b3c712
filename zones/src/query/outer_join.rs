//! Takes the condition on touched groups to the other side of an outer join.
//!
//! `a LEFT JOIN b ON a.k = b.k` where every row of `a` is of a touched group: rows of `b` of other groups find no partner, so
//! they need not be read. The engine's own rule infers this for inner joins only.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DataFusionError, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::touched::as_touched;

#[derive(Debug)]
pub(super) struct TouchedAcrossOuterJoins;

impl OptimizerRule for TouchedAcrossOuterJoins {
    fn name(&self) -> &'static str {
        "touched_across_outer_joins"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>, DataFusionError> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let (kept, other, kept_is_left) = match join.join_type {
            JoinType::Left => (&join.left, &join.right, true),
            JoinType::Right => (&join.right, &join.left, false),
            _ => return Ok(Transformed::no(LogicalPlan::Join(join))),
        };
        let mut pairs: Vec<(Column, Column)> = Vec::new();
        for (left, right) in &join.on {
            if let (Expr::Column(left), Expr::Column(right)) = (left, right) {
                pairs.push(if kept_is_left { (left.clone(), right.clone()) } else { (right.clone(), left.clone()) });
            }
        }
        let mut more: Vec<Expr> = Vec::new();
        for condition in conditions(kept) {
            let Some((_, arguments)) = as_touched(&condition) else { continue };
            let moved: Option<Vec<Expr>> = arguments
                .iter()
                .map(|argument| {
                    let Expr::Column(column) = argument else { return None };
                    pairs.iter().find(|(kept, _)| kept == column).map(|(_, other)| Expr::Column(other.clone()))
                })
                .collect();
            let Some(moved) = moved else { continue };
            let Expr::ScalarFunction(mut call) = condition else { continue };
            call.args = moved;
            let call = Expr::ScalarFunction(call);
            let is_there = conditions(other).contains(&call)
                || join.filter.as_ref().is_some_and(|filter| split_conjunction(filter).contains(&&call));
            if !is_there && !more.contains(&call) {
                more.push(call);
            }
        }
        if more.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        // As a part of the join's condition it leaves the kept side alone; the next pass takes it down the other side.
        join.filter = more.into_iter().chain(join.filter.take()).reduce(Expr::and);
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    }
}

/// Conditions on touched groups that every row of a plan fulfils, over the plan's own columns.
fn conditions(plan: &LogicalPlan) -> Vec<Expr> {
    match plan {
        LogicalPlan::Filter(filter) => {
            let mut all: Vec<Expr> =
                split_conjunction(&filter.predicate).into_iter().filter(|one| as_touched(one).is_some()).cloned().collect();
            all.extend(conditions(&filter.input));
            all
        }
        LogicalPlan::TableScan(scan) => scan.filters.iter().filter(|one| as_touched(one).is_some()).cloned().collect(),
        LogicalPlan::SubqueryAlias(alias) => {
            let inner = conditions(&alias.input);
            let renamed = alias.input.schema().columns().into_iter().zip(alias.schema.columns()).collect::<Vec<_>>();
            renamed_all(inner, &renamed)
        }
        LogicalPlan::Projection(projection) => {
            let mut renamed = Vec::new();
            for (expression, column) in projection.expr.iter().zip(projection.schema.columns()) {
                if let Expr::Column(inner) = unaliased(expression) {
                    renamed.push((inner.clone(), column));
                }
            }
            renamed_all(conditions(&projection.input), &renamed)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let mut renamed = Vec::new();
            for (expression, column) in aggregate.group_expr.iter().zip(aggregate.schema.columns()) {
                if let Expr::Column(inner) = unaliased(expression) {
                    renamed.push((inner.clone(), column));
                }
            }
            renamed_all(conditions(&aggregate.input), &renamed)
        }
        LogicalPlan::Join(join) => {
            let mut all = Vec::new();
            if matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti) {
                all.extend(conditions(&join.left));
            }
            if matches!(join.join_type, JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti) {
                all.extend(conditions(&join.right));
            }
            all
        }
        LogicalPlan::Distinct(datafusion::logical_expr::Distinct::All(input)) => conditions(input),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => conditions(&sort.input),
        _ => Vec::new(),
    }
}

fn unaliased(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// Those conditions all of whose columns have another name above, under that name.
fn renamed_all(conditions: Vec<Expr>, names: &[(Column, Column)]) -> Vec<Expr> {
    let rename = |condition: Expr| {
        let Expr::ScalarFunction(mut call) = condition else { return None };
        for argument in &mut call.args {
            let Expr::Column(column) = argument else { return None };
            let (_, above) = names.iter().find(|(below, _)| below == column)?;
            *argument = Expr::Column(above.clone());
        }
        Some(Expr::ScalarFunction(call))
    };
    conditions.into_iter().filter_map(rename).collect()
}
