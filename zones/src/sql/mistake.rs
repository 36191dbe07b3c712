//! What is wrong with a statement, and where in its text: the engine's errors in words that help the person who wrote it.
//!
//! Every mistake has a place, the nearest that can be told. Names of types are those of a definition (`timestamp`, `string`),
//! not those of Arrow.

use std::fmt;
use std::ops::Range;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::common::{Location, Span};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use model::definition::{nearest, suggest};

use super::engine;
use super::types::in_our_words;
use super::values::{article, of_text};
use crate::explore::unknown_table;

/// What begins the next part of a SELECT.
const CLAUSES: [Keyword; 11] = [
    Keyword::FROM,
    Keyword::WHERE,
    Keyword::HAVING,
    Keyword::LIMIT,
    Keyword::UNION,
    Keyword::JOIN,
    Keyword::ON,
    Keyword::AS,
    Keyword::AND,
    Keyword::OR,
    Keyword::SELECT,
];
const CLAUSE_WORDS: [&str; 9] = ["from", "where", "group", "having", "order", "limit", "union", "join", "select"];

/// One thing that is wrong with a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub message: String,
    pub hint: Option<String>,
    /// In bytes of the statement's text.
    pub at: Range<usize>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What a statement may name, for hints.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) tables: Vec<String>,
    /// The statement is one of a definition: its tables are those that `from` names.
    pub(crate) is_definition: bool,
    /// What an unknown column may be all the same: column and why it cannot be used here.
    pub(crate) out_of_reach: Vec<(String, String)>,
}

/// The mistakes that an error of the engine tells of; at least one.
pub(crate) fn mistakes(error: &DataFusionError, sql: &str, scope: &Scope) -> Vec<Mistake> {
    let mut reading = Reading { sql, tokens: tokens(sql), scope, found: Vec::new() };
    reading.error(error, None, None);
    reading.found.dedup();
    reading.found
}

/// The bytes of a span of lines and columns; columns count characters.
pub(crate) fn bytes_of(sql: &str, span: Span) -> Range<usize> {
    let start = offset_of(sql, span.start);
    start..offset_of(sql, span.end).max(start)
}

fn offset_of(sql: &str, location: Location) -> usize {
    let mut line_start = 0;
    for _ in 1..location.line {
        match sql[line_start..].find('\n') {
            Some(end) => line_start += end + 1,
            None => return sql.len(),
        }
    }
    let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
    sql[line_start..].char_indices().nth(column).map_or(sql.len(), |(offset, _)| line_start + offset)
}

fn tokens(sql: &str) -> Vec<TokenWithSpan> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap_or_default();
    tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF)).collect()
}

struct Reading<'s> {
    sql: &'s str,
    tokens: Vec<TokenWithSpan>,
    scope: &'s Scope,
    found: Vec<Mistake>,
}

impl Reading<'_> {
    fn error(&mut self, error: &DataFusionError, at: Option<Span>, help: Option<&str>) {
        match error {
            DataFusionError::Collection(errors) => errors.iter().for_each(|error| self.error(error, at, help)),
            DataFusionError::Context(_, inner) => self.error(inner, at, help),
            DataFusionError::Shared(inner) => self.error(inner, at, help),
            DataFusionError::Diagnostic(diagnostic, inner) => {
                let help = diagnostic.helps.first().map(|help| help.message.as_str()).or(help);
                self.error(inner, diagnostic.span.or(at), help);
            }
            DataFusionError::SQL(error, _) => self.syntax(error, at),
            DataFusionError::SchemaError(error, _) => self.names(error, at),
            DataFusionError::Plan(message) => self.plan(message, at, help),
            DataFusionError::ArrowError(error, _) => self.other(&error.to_string(), at, help),
            DataFusionError::Execution(message)
            | DataFusionError::NotImplemented(message)
            | DataFusionError::Internal(message)
            | DataFusionError::Configuration(message) => self.other(message, at, help),
            other => self.other(&other.strip_backtrace(), at, help),
        }
    }

    fn add(&mut self, at: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.found.push(Mistake { message: message.into(), hint, at });
    }

    fn place(&self, at: Option<Span>) -> Range<usize> {
        at.map_or_else(|| self.beginning(), |span| bytes_of(self.sql, span))
    }

    /// The first word: where nothing better is known.
    fn beginning(&self) -> Range<usize> {
        self.tokens.first().map_or(0..self.sql.len(), |token| self.token_place(token))
    }

    fn token_place(&self, token: &TokenWithSpan) -> Range<usize> {
        bytes_of(self.sql, Span::new(token.span.start.into(), token.span.end.into()))
    }

    fn syntax(&mut self, error: &ParserError, at: Option<Span>) {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
            ParserError::RecursionLimitExceeded => return self.other("nested too deeply", at, None),
        };
        let (said, location) = text.split_once(" at Line: ").unwrap_or((text, ""));
        let mut numbers = location.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<u64>().ok());
        let place = match (numbers.next(), numbers.next()) {
            (Some(line), Some(column)) => {
                let start = offset_of(self.sql, Location { line, column });
                let token = self.tokens.iter().map(|token| self.token_place(token)).find(|place| place.start == start);
                token.unwrap_or(start..(start + 1).min(self.sql.len()))
            }
            // Found the end of the text: after its last word.
            _ => match self.tokens.last().map(|token| self.token_place(token)) {
                Some(last) => last.end..last.end,
                None => 0..self.sql.len(),
            },
        };
        let before = self.tokens.iter().rev().find(|token| self.token_place(token).end <= place.start);
        let here = self.tokens.iter().find(|token| self.token_place(token) == place);
        let word = here.and_then(|token| if let Token::Word(word) = &token.token { Some(word) } else { None });
        if let Some(word) = word.filter(|word| word.keyword != Keyword::NoKeyword && word.quote_style.is_none()) {
            // After these a name can stand; a keyword that begins the next clause stands there when something is missing.
            let wants_name = before.is_none_or(|token| match &token.token {
                Token::Comma | Token::LParen | Token::Eq | Token::Period => true,
                Token::Word(before) => matches!(before.keyword, Keyword::SELECT | Keyword::BY | Keyword::AND | Keyword::WHERE),
                _ => false,
            });
            // GROUP and ORDER begin a clause with their BY only.
            let after = self.tokens.iter().find(|token| self.token_place(token).start >= place.end);
            let has_by = after.is_some_and(|token| matches!(&token.token, Token::Word(next) if next.keyword == Keyword::BY));
            let is_clause = match word.keyword {
                Keyword::GROUP | Keyword::ORDER => has_by,
                keyword => CLAUSES.contains(&keyword),
            };
            if wants_name && !is_clause {
                let (message, hint) = (
                    format!("not SQL: `{}` is a word of SQL", word.value),
                    format!("if it is a column's name, write it in double quotes: \"{}\"", word.value),
                );
                return self.add(place, message, Some(hint));
            }
        }
        let hint = match before {
            Some(token) if token.token == Token::Comma => {
                let place = self.token_place(token);
                return self.add(place, "not SQL: nothing follows this comma", Some("remove it".to_owned()));
            }
            _ => word
                .filter(|word| word.keyword == Keyword::NoKeyword)
                .and_then(|word| nearest(&word.value, CLAUSE_WORDS))
                .map(|near| format!("did you mean {}?", near.to_ascii_uppercase())),
        };
        let said = said
            .replace("Expected: ", "expected ")
            .replace("Expected: end of statement", "expected the end of the statement")
            .replace(", found: EOF", ", found the end of the text")
            .replace(", found: ", ", found ");
        let said = said.replace("expected end of expression", "expected the end of the expression");
        self.add(place, format!("not SQL: {}", lower_first(&said)), hint);
    }

    fn names(&mut self, error: &SchemaError, at: Option<Span>) {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let at = at.or_else(|| field.spans.first());
                let place =
                    if at.is_some() { self.place(at) } else { self.word(&field.name).unwrap_or_else(|| self.beginning()) };
                if let Some((_, why)) = self.scope.out_of_reach.iter().find(|(name, _)| *name == field.name) {
                    return self.add(place, format!("column `{}` cannot be used here", field.name), Some(why.clone()));
                }
                // `'x'` is a text and `"x"` a column: the one that is meant often differs from the one that is written.
                let quoted = self.sql.get(place.clone()).is_some_and(|written| written.starts_with('"'));
                let mut names: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
                names.dedup();
                let hint = match nearest(&field.name, names.iter().copied()) {
                    None if quoted => Some(format!("a text is written in single quotes: '{}'", field.name)),
                    _ => suggest(&field.name, names, "columns"),
                };
                self.add(place, format!("there is no column `{}`", field.flat_name()), hint);
            }
            SchemaError::AmbiguousReference { field } => {
                let hint = "give one of them another name with AS, or write its table before it".to_owned();
                let at = at.or_else(|| field.spans.first());
                let place = at.map(|span| bytes_of(self.sql, span)).or_else(|| self.last_word(&field.name));
                let message = format!("there are several columns `{}`", field.name);
                self.add(place.unwrap_or_else(|| self.beginning()), message, Some(hint));
            }
            SchemaError::DuplicateUnqualifiedField { name } | SchemaError::DuplicateQualifiedField { name, .. } => {
                let place = self.last_word(name).unwrap_or_else(|| self.beginning());
                self.add(
                    place,
                    format!("column `{name}` is yielded twice"),
                    Some("give one of them another name with AS".to_owned()),
                );
            }
        }
    }

    fn plan(&mut self, message: &str, at: Option<Span>, help: Option<&str>) {
        if let Some(name) = between(message, "table '", "' not found") {
            let bare = bare_table(name);
            let hint = match (unknown_table(bare, &self.scope.tables), self.scope.tables.as_slice()) {
                (Some(hint), tables) if self.scope.is_definition && hint.starts_with("tables: ") => {
                    Some(format!("it reads what `from` names: {}", tables.join(", ")))
                }
                (hint, _) => hint,
            };
            let place = if at.is_some() { self.place(at) } else { self.word(bare).unwrap_or_else(|| self.beginning()) };
            return self.add(place, format!("there is no table `{bare}`"), hint);
        }
        if let Some(name) = between(message, "Invalid function '", "'") {
            let functions = engine::function_names();
            let hint = match name {
                "max_by" | "min_by" | "argmax" | "argmin" | "arg_max" | "arg_min" => {
                    Some("write first_value(column ORDER BY other DESC)".to_owned())
                }
                "if" | "iif" => Some("write CASE WHEN condition THEN a ELSE b END".to_owned()),
                "countif" | "count_if" => Some("write count(*) FILTER (WHERE condition)".to_owned()),
                _ => nearest(name, functions.iter().copied()).map(|near| format!("did you mean `{near}`?")),
            };
            let place = if at.is_some() { self.place(at) } else { self.call(name).unwrap_or_else(|| self.beginning()) };
            return self.add(place, format!("there is no function `{name}`"), hint);
        }
        if let Some(column) = between(message, "column \"", "\" must appear in the GROUP BY").or_else(|| {
            between(
                message,
                "Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column \"",
                "\"",
            )
        }) {
            let name = column.rsplit('.').next().unwrap_or(column);
            let place = if at.is_some() { self.place(at) } else { self.word(name).unwrap_or_else(|| self.beginning()) };
            let hint = format!("add it to GROUP BY, or say which of the values, as in `min({name})`");
            return self.add(place, format!("`{name}` is neither grouped by nor aggregated"), Some(hint));
        }
        self.other(message, at, help);
    }

    /// In the engine's words, without what only its authors need.
    fn other(&mut self, message: &str, at: Option<Span>, help: Option<&str>) {
        if message.contains("only supports a single SQL statement") {
            let end = self.tokens.iter().position(|token| token.token == Token::SemiColon).map_or(0, |end| end + 1);
            let second = self.tokens.get(end).map_or_else(|| self.place(at), |token| self.token_place(token));
            let hint = "keep one; what it builds on can stand before it, as in WITH name AS (SELECT ...)".to_owned();
            return self.add(second, "there is more than one statement", Some(hint));
        }
        let message = message.strip_prefix("Error during planning: ").unwrap_or(message);
        let message = message.strip_prefix("type_coercion\ncaused by\n").unwrap_or(message);
        if let Some(operation) = between(message, "Cannot coerce arithmetic expression ", " to valid types") {
            let operation = in_our_words(operation);
            let (message, hint) = match operation.split_once(' ').and_then(|(left, rest)| Some((left, rest.split_once(' ')?))) {
                Some((left, (sign, right))) if !left.ends_with(',') => (
                    format!("{} {left} and {} {right} cannot be joined by `{sign}`", article(left), article(right)),
                    "convert one of them with cast(... as ...); a stretch of time is written INTERVAL '3 days'",
                ),
                _ => (format!("this cannot be computed: {operation}"), "convert one side with cast(... as ...)"),
            };
            return self.add(self.place(at), message, Some(hint.to_owned()));
        }
        if message.to_ascii_lowercase().contains("substring without for/from is not valid") {
            let place = ["substr", "substring"].iter().find_map(|name| self.call(name)).unwrap_or_else(|| self.place(at));
            let hint = "say from which character on: substr(text, 1, 10) are the first ten".to_owned();
            return self.add(place, "substr needs to know where to begin", Some(hint));
        }
        let said = of_text(message);
        if said.hint.is_some() {
            let place = match between(&said.message, "the text '", "' is not") {
                Some(text) if at.is_none() => self.word(text).unwrap_or_else(|| self.beginning()),
                _ => self.place(at),
            };
            let hint = match said.message.strip_prefix("the text ") {
                // A text that was written into the statement.
                Some(_) if !message.contains("cast(") => "what it is compared or computed with is of another type".to_owned(),
                _ => said.hint.unwrap_or_default().to_owned(),
            };
            return self.add(place, said.message, Some(hint));
        }
        // What follows the first lines repeats signatures of functions.
        let (first, rest) = message.split_once('\n').unwrap_or((message, ""));
        let called = between(first, "types '", "(")
            .or_else(|| between(first, "Function '", "'"))
            .or_else(|| between(first, "function '", "'"));
        let called = called.or_else(|| between(first, "'", "' function")).or_else(|| between(message, "for function ", " "));
        let place = match (at, called) {
            (Some(_), _) => self.place(at),
            (None, Some(name)) => self.call(name).unwrap_or_else(|| self.beginning()),
            (None, None) => self.beginning(),
        };
        let candidates: Vec<&str> =
            rest.lines().map(str::trim).filter(|line| line.contains('(') && !line.starts_with("Candidate")).collect();
        let hint = match candidates.as_slice() {
            [] => help.map(in_our_words),
            some => Some(in_our_words(&format!("it takes {}", some.join(" or ")))),
        };
        let first = first.split(" You might need to add explicit").next().unwrap_or(first).trim_end_matches(['.', ' ']);
        // Never a picture of the engine's own structures.
        let first = first.split(" { ").next().unwrap_or(first);
        self.add(place, lower_first(&in_our_words(first)), hint);
    }

    fn words(&self, name: &str) -> impl DoubleEndedIterator<Item = usize> {
        let is_it = move |token: &TokenWithSpan| match &token.token {
            Token::Word(word) => word.value.eq_ignore_ascii_case(name),
            // A file's name where a table's is meant.
            Token::SingleQuotedString(text) => text == name,
            _ => false,
        };
        (0..self.tokens.len()).filter(move |index| is_it(&self.tokens[*index]))
    }

    fn word(&self, name: &str) -> Option<Range<usize>> {
        self.words(name).next().map(|index| self.token_place(&self.tokens[index]))
    }

    fn last_word(&self, name: &str) -> Option<Range<usize>> {
        self.words(name).next_back().map(|index| self.token_place(&self.tokens[index]))
    }

    /// A name with a parenthesis behind it.
    fn call(&self, name: &str) -> Option<Range<usize>> {
        let is_call = |index: &usize| self.tokens.get(index + 1).is_some_and(|next| next.token == Token::LParen);
        self.words(name).find(is_call).map(|index| self.token_place(&self.tokens[index]))
    }
}

/// Without the names that the engine puts before a table that has none.
fn bare_table(name: &str) -> &str {
    let given = ["datafusion.public.", "datafusion.", "lake.tables.", "lake."];
    given.iter().find_map(|given| name.strip_prefix(given)).unwrap_or(name)
}

fn between<'m>(message: &'m str, before: &str, after: &str) -> Option<&'m str> {
    let start = message.find(before)? + before.len();
    let length = message[start..].find(after)?;
    Some(&message[start..start + length])
}

/// Messages are fragments: a capital at the beginning goes, unless it begins a word of capitals.
fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_ascii_uppercase() && second.is_ascii_lowercase() => {
            format!("{}{}", first.to_ascii_lowercase(), chars.as_str())
        }
        _ => message.to_owned(),
    }
}
