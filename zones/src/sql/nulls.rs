//! Which columns always have a value.
//!
//! The engine's own answer is careful: every aggregate may be null for it, and it does not look at filters. Here a group is
//! known to have a row, and what a filter and a table's checks let through is reasoned about. What cannot be proved may be
//! null: an answer "always a value" is right, the other one need not be.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, ScalarValue};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::Expression;

/// What holds for every row of a table.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    holds: Vec<Expr>,
    /// Columns that are computed from others, with how.
    computed: Vec<(String, Expr)>,
}

impl Facts {
    /// A condition that every row meets.
    pub fn hold(&mut self, condition: &Expression) {
        self.holds.push(condition.logical().clone());
    }

    /// A column that is what this expression says.
    pub fn computes(&mut self, column: &str, expression: &Expression) {
        self.computed.push((column.to_owned(), expression.logical().clone()));
    }

    /// The schema, with what these facts and the filters of `plan` prove to have a value for every row that passes.
    pub(super) fn narrowed(&self, schema: &SchemaRef, plan: &LogicalPlan) -> SchemaRef {
        let mut holds = self.holds.clone();
        let looked_at = plan.apply(|node| {
            if let LogicalPlan::Filter(filter) = node {
                holds.push(unqualified(filter.predicate.clone()));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        let all_nullable: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let Ok(reasoning) = DFSchema::try_from(Schema::new(all_nullable)) else { return schema.clone() };
        if looked_at.is_err() {
            return schema.clone();
        }
        let holds = self.conditions(holds);
        let reasoning = Arc::new(reasoning);
        let fields = schema.fields().iter().map(|field| {
            let has_value = !field.is_nullable() || is_never_null(field.name(), &holds, &reasoning);
            field.as_ref().clone().with_nullable(!has_value)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The conditions one by one, computed columns replaced by what they are, columns that equal a value replaced by it.
    fn conditions(&self, holds: Vec<Expr>) -> Vec<Expr> {
        let mut conditions: Vec<Expr> = Vec::new();
        for condition in holds {
            let replaced = replace_columns(condition, &|name| {
                self.computed.iter().find(|(column, _)| column == name).map(|(_, expression)| expression.clone())
            });
            conditions.extend(split_conjunction_owned(replaced));
        }
        for index in 0..conditions.len() {
            let Some((column, value)) = equality(&conditions[index]) else { continue };
            for (other, condition) in conditions.iter_mut().enumerate() {
                if other != index {
                    let given = |name: &str| (name == column).then(|| value.clone());
                    *condition = replace_columns(std::mem::take(condition), &given);
                }
            }
        }
        conditions
    }
}

/// Whether the conditions cannot all be true where the column is null.
fn is_never_null(column: &str, conditions: &[Expr], schema: &DFSchemaRef) -> bool {
    let Ok(field) = schema.field_with_unqualified_name(column) else { return false };
    let Ok(null) = ScalarValue::try_from(field.data_type()) else { return false };
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(schema.clone()).build());
    let if_null = |condition: &Expr| {
        let given = |name: &str| (name == column).then(|| Expr::Literal(null.clone(), None));
        let coerced = simplifier.coerce(replace_columns(condition.clone(), &given), schema)?;
        simplifier.simplify(coerced)
    };
    let Ok(conditions) = conditions.iter().map(if_null).collect::<Result<Vec<_>>>() else { return false };
    let is_false = |expression: &Expr| match expression {
        Expr::Literal(ScalarValue::Boolean(value), _) => *value != Some(true),
        Expr::Literal(value, _) => value.is_null(),
        _ => false,
    };
    if conditions.iter().any(is_false) {
        return true;
    }
    conjunction(conditions).and_then(|all| simplifier.simplify(all).ok()).is_some_and(|all| is_false(&all))
}

/// `column = value`, and a bare boolean column, say what the column is.
fn equality(condition: &Expr) -> Option<(String, Expr)> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), value @ Expr::Literal(..)) | (value @ Expr::Literal(..), Expr::Column(column)) => {
                Some((column.name.clone(), value.clone()))
            }
            _ => None,
        },
        Expr::Column(column) => Some((column.name.clone(), Expr::Literal(ScalarValue::Boolean(Some(true)), None))),
        _ => None,
    }
}

fn unqualified(expression: Expr) -> Expr {
    replace_columns(expression, &|name| Some(Expr::Column(Column::new_unqualified(name))))
}

fn replace_columns(expression: Expr, by: &dyn Fn(&str) -> Option<Expr>) -> Expr {
    let whole = expression.clone();
    let replaced = expression.transform(|part| {
        let other = match &part {
            Expr::Column(column) => by(&column.name),
            _ => None,
        };
        Ok(other.map_or_else(|| Transformed::no(part), |other| Transformed::new(other, true, TreeNodeRecursion::Jump)))
    });
    replaced.map_or(whole, |replaced| replaced.data)
}

/// The columns that a plan yields, with what is known about nulls; `input` is the schema of the table that it reads.
pub(super) fn yielded(plan: &LogicalPlan, input: &SchemaRef) -> SchemaRef {
    let known = known(plan, input).unwrap_or_else(|_| plan.schema().as_ref().clone());
    Arc::new(known.as_arrow().clone())
}

fn known(plan: &LogicalPlan, table: &SchemaRef) -> Result<DFSchema> {
    let nullable: Vec<bool> = match plan {
        LogicalPlan::TableScan(scan) => {
            let is_nullable = |field: &Arc<Field>| table.field_with_name(field.name()).map_or(true, Field::is_nullable);
            scan.projected_schema.fields().iter().map(is_nullable).collect()
        }
        LogicalPlan::Projection(projection) => {
            let input = known(&projection.input, table)?;
            projection.expr.iter().map(|expression| of_a_row(expression, &input)).collect::<Result<_>>()?
        }
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::SubqueryAlias(_) => {
            let input = known(plan.inputs()[0], table)?;
            input.fields().iter().map(|field| field.is_nullable()).collect()
        }
        LogicalPlan::Aggregate(aggregate) if !aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_))) => {
            let input = known(&aggregate.input, table)?;
            let groups = aggregate.group_expr.iter().map(|group| of_a_row(group, &input));
            groups.chain(aggregate.aggr_expr.iter().map(|one| Ok(may_be_null(aggregate, one, &input)))).collect::<Result<_>>()?
        }
        _ => return Ok(plan.schema().as_ref().clone()),
    };
    let schema = plan.schema();
    let fields = schema
        .iter()
        .zip(nullable)
        .map(|((table, field), nullable)| (table.cloned(), Arc::new(field.as_ref().clone().with_nullable(nullable))));
    DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())
}

/// Functions that yield a value if all they are given are values; of others the engine says that they may be null.
const OF_VALUES: [&str; 27] = [
    "abs",
    "btrim",
    "ceil",
    "character_length",
    "concat",
    "date_trunc",
    "encode",
    "floor",
    "initcap",
    "left",
    "lower",
    "lpad",
    "ltrim",
    "md5",
    "octet_length",
    "replace",
    "reverse",
    "right",
    "round",
    "rpad",
    "rtrim",
    "sha256",
    "starts_with",
    "substr",
    "to_char",
    "trunc",
    "upper",
];

/// Whether an expression may be null, for one row.
fn of_a_row(expression: &Expr, input: &DFSchema) -> Result<bool> {
    let simpler = expression.clone().transform_up(|part| {
        let has_value = match &part {
            Expr::ScalarFunction(function) if OF_VALUES.contains(&function.name()) => {
                function.args.iter().all(|argument| argument.nullable(input).is_ok_and(|nullable| !nullable))
            }
            _ => false,
        };
        // Any value stands for the function's: only whether there is one is asked.
        Ok(if has_value {
            Transformed::yes(Expr::Literal(ScalarValue::Boolean(Some(true)), None))
        } else {
            Transformed::no(part)
        })
    })?;
    simpler.data.nullable(input).or_else(|_| expression.nullable(input))
}

/// Aggregates that yield a value if there is one: a group has a row, so a filter or a null in it is what can make them null.
const OF_A_VALUE: [&str; 12] =
    ["min", "max", "sum", "avg", "median", "bool_and", "bool_or", "first_value", "last_value", "any_value", "bit_and", "bit_or"];

fn may_be_null(aggregate: &Aggregate, expression: &Expr, input: &DFSchema) -> bool {
    let Expr::AggregateFunction(function) = expression.clone().unalias() else { return true };
    let name = function.func.name();
    if name == "count" {
        return false;
    }
    let value = function.params.args.first().map_or(Ok(true), |argument| of_a_row(argument, input));
    !OF_A_VALUE.contains(&name) || aggregate.group_expr.is_empty() || function.params.filter.is_some() || value.unwrap_or(true)
}
