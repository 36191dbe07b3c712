//! Places in a statement's text, also where the engine tells none.

use std::ops::Range;

use datafusion::common::{DataFusionError, Span};
use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, Select, SetExpr, Spanned, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Span as ParsedSpan, Token, Tokenizer};

use super::mistake::{Mistake, Scope, bytes_of, mistakes};

/// A mistake at the first word.
pub(crate) fn beginning(sql: &str, message: &str) -> Mistake {
    first_of(sql, &[], message)
}

pub(crate) fn not_a_select(sql: &str) -> Mistake {
    let hint = "a file of a definition only says which rows there are: write one SELECT".to_owned();
    Mistake { hint: Some(hint), ..beginning(sql, "this is not a SELECT") }
}

/// A mistake at the first of these words, else at the first word of all.
pub(crate) fn first_of(sql: &str, words: &[&str], message: &str) -> Mistake {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap_or_default();
    let mut tokens = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    let wanted = tokens.clone().find(
        |token| matches!(&token.token, Token::Word(word) if words.iter().any(|wanted| wanted.eq_ignore_ascii_case(&word.value))),
    );
    let at = wanted.or_else(|| tokens.next()).map_or(0..sql.len(), |token| at_span(sql, token.span));
    Mistake { message: message.to_owned(), hint: None, at }
}

/// The bytes of a place that the parser gave; all of the text where it gave none.
pub(crate) fn at_span(sql: &str, span: ParsedSpan) -> Range<usize> {
    Span::try_from_sqlparser_span(span).map_or(0..sql.len(), |span| bytes_of(sql, span))
}

/// Finds the part of a SELECT that is to blame where the engine only said what is wrong: the mistake is at the first word, and
/// one column alone, or the filter, makes the same mistake.
pub(crate) async fn narrowed(state: &SessionState, sql: &str, scope: &Scope, found: Vec<Mistake>) -> Vec<Mistake> {
    let [only] = found.as_slice() else { return found };
    if only.at != beginning(sql, "").at {
        return found;
    }
    match guilty_part(state, sql, scope, &only.message).await {
        Some(at) if !at.is_empty() => vec![Mistake { at, ..only.clone() }],
        _ => found,
    }
}

async fn guilty_part(state: &SessionState, sql: &str, scope: &Scope, message: &str) -> Option<Range<usize>> {
    let dialect = state.config().options().sql_parser.dialect;
    let Ok(Statement::Statement(statement)) = state.sql_to_statement(sql, &dialect) else { return None };
    let SqlStatement::Query(query) = *statement else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let fails_alike = async |select: Select| {
        let query =
            Query { body: Box::new(SetExpr::Select(Box::new(select))), order_by: None, limit_clause: None, ..(*query).clone() };
        let statement = Statement::Statement(Box::new(SqlStatement::Query(Box::new(query))));
        let failed: Result<_, DataFusionError> = match state.statement_to_plan(statement).await {
            Ok(plan) => state.optimize(&plan).map(|_| ()),
            Err(error) => Err(error),
        };
        failed.is_err_and(|error| mistakes(&error, sql, scope).iter().any(|mistake| mistake.message == message))
    };
    if let Some(filter) = &select.selection {
        let without = Select { selection: None, ..(**select).clone() };
        if !fails_alike(without).await {
            return Some(at_span(sql, filter.span()));
        }
    }
    for item in &select.projection {
        let alone = Select { projection: vec![item.clone()], ..(**select).clone() };
        if fails_alike(alone).await {
            return Some(at_span(sql, item.span()));
        }
    }
    None
}
