//! A table for people: columns as wide as their values, narrower where the terminal is, cut with an ellipsis.

use std::io::{IsTerminal, Write};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;

use super::{RowWriter, arrow, formatters, is_text, options};

/// Rows that are looked at before the first is printed.
pub(super) const SAMPLE: usize = 1_000;

/// What a column keeps when others need room; a value that is cut shorter says nothing.
const NARROWEST: usize = 8;
/// What a column takes at most, whatever the room: the end of a long text is rarely what tells rows apart.
const WIDEST: usize = 60;
const GAP: &str = "  ";

pub(super) struct TableWriter {
    names: Vec<String>,
    /// Numbers stand on the right.
    is_right: Vec<bool>,
    sample: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    room: Option<usize>,
    count: usize,
    limit: Option<usize>,
}

impl TableWriter {
    /// Shows at most `limit` rows, and says so where there are others.
    pub(super) fn new(schema: &SchemaRef, limit: Option<usize>) -> Self {
        Self {
            names: schema.fields().iter().map(|field| field.name().clone()).collect(),
            is_right: schema.fields().iter().map(|field| field.data_type().is_numeric()).collect(),
            sample: Vec::new(),
            widths: None,
            room: room(),
            count: 0,
            limit,
        }
    }

    /// Widths are settled: the header and what was looked at go out.
    fn settle(&mut self, out: &mut dyn Write) -> std::io::Result<()> {
        let natural = (0..self.names.len()).map(|column| {
            let values = self.sample.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            values.min(WIDEST).max(self.names[column].chars().count())
        });
        let widths = fitted(natural.collect(), self.room);
        line(&self.names, &widths, &vec![false; widths.len()], out)?;
        let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        writeln!(out, "{}", rules.join(GAP))?;
        for row in std::mem::take(&mut self.sample) {
            line(&row, &widths, &self.is_right, out)?;
        }
        self.widths = Some(widths);
        Ok(())
    }
}

impl RowWriter for TableWriter {
    fn begin(&mut self, _schema: &SchemaRef, _out: &mut dyn Write) -> std::io::Result<()> {
        Ok(())
    }

    fn rows(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> std::io::Result<()> {
        let options = options();
        let formatters = formatters(rows, &options)?;
        for row in 0..rows.num_rows() {
            self.count += 1;
            if self.limit.is_some_and(|limit| self.count > limit) {
                continue;
            }
            let cell = |(column, formatter): (&arrow::array::ArrayRef, &arrow::util::display::ArrayFormatter<'_>)| {
                if column.is_null(row) {
                    return Ok("NULL".to_owned());
                }
                let value = formatter.value(row).try_to_string().map_err(arrow)?;
                Ok(if value.is_empty() && is_text(column.data_type()) { "\"\"".to_owned() } else { on_one_line(&value) })
            };
            let cells = rows.columns().iter().zip(&formatters).map(cell).collect::<std::io::Result<Vec<_>>>()?;
            match &self.widths {
                Some(widths) => line(&cells, widths, &self.is_right, out)?,
                None => self.sample.push(cells),
            }
            if self.sample.len() == SAMPLE {
                self.settle(out)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> std::io::Result<()> {
        if self.widths.is_none() {
            self.settle(out)?;
        }
        let shown = self.widths.as_ref().map_or(0, Vec::len);
        writeln!(out)?;
        if shown < self.names.len() {
            writeln!(out, "not shown for want of room: {}", self.names[shown..].join(", "))?;
        }
        match self.limit {
            Some(limit) if self.count > limit => writeln!(out, "the first {limit} rows; --limit shows more"),
            _ => writeln!(out, "{} row{}", self.count, if self.count == 1 { "" } else { "s" }),
        }
    }
}

/// Columns of the terminal; `None` where the output is none, which then is cut nowhere.
fn room() -> Option<usize> {
    let stated = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    stated.or_else(|| std::io::stdout().is_terminal().then(terminal).flatten())
}

/// The widths that fit: the widest give first. Columns that have no room at all are left out, from the right.
fn fitted(mut widths: Vec<usize>, room: Option<usize>) -> Vec<usize> {
    let Some(room) = room else { return widths };
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
    while total(&widths) > room {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > NARROWEST) else { break };
        *widest -= 1;
    }
    while widths.len() > 1 && total(&widths) > room {
        widths.pop();
    }
    widths
}

fn line(cells: &[String], widths: &[usize], is_right: &[bool], out: &mut dyn Write) -> std::io::Result<()> {
    let padded = widths.iter().zip(cells).zip(is_right).map(|((width, cell), is_right)| {
        let cell = cut(cell, *width);
        if *is_right { format!("{cell:>width$}") } else { format!("{cell:width$}") }
    });
    writeln!(out, "{}", padded.collect::<Vec<_>>().join(GAP).trim_end())
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let kept: String = cell.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A line end in a value must not look like the end of a row, and what a terminal acts on must not reach it.
fn on_one_line(value: &str) -> String {
    if !value.contains(|c: char| c.is_control()) {
        return value.to_owned();
    }
    value.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_give_way_where_there_is_no_room() {
        assert_eq!(fitted(vec![4, 40, 10], None), [4, 40, 10]);
        assert_eq!(fitted(vec![4, 40, 10], Some(40)), [4, 22, 10]);
        assert_eq!(fitted(vec![4, 40, 10], Some(20)), [4, 8], "the last has no room");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(on_one_line("a\n\u{1b}[31m"), "a\\n\\u{1b}[31m");
    }
}
