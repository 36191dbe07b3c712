//! Functions whose result is not settled by their arguments: the time, chance.
//!
//! What Sluice computes is computed again: after an interruption, when it is verified, when it is rebuilt. It has to be the same then.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

/// The first such function of a statement.
pub(crate) fn of_plan(plan: &LogicalPlan) -> Option<String> {
    let mut found = None;
    let visited = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            found = of_expression(expression);
            Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    });
    visited.ok().and(found)
}

/// The first such function of an expression.
pub(crate) fn of_expression(expression: &Expr) -> Option<String> {
    let mut found = None;
    let visited = expression.apply(|part| {
        if let Expr::ScalarFunction(function) = part
            && function.func.signature().volatility != Volatility::Immutable
        {
            found = Some(function.func.name().to_owned());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    visited.ok().and(found)
}
