//! `[use_case.NAME]`: a fold over a raw table, or a view over any tables.

use toml::Spanned;
use toml::de::DeValue;

use crate::definition::defaults;
use crate::definition::error::{Complaint, Placed};
use crate::definition::names::suggest;
use crate::definition::reader::Reader;
use crate::definition::tables::{Fold, Merge, Mode, Origin, UseCaseColumn, UseCaseTable};

use super::{Known, check_reference, no_table, sql_file};

#[derive(Debug, Clone, Copy, PartialEq)]
enum FoldWord {
    Min,
    Max,
    Sum,
    Any,
    All,
    First,
    Last,
}

const FOLDS: [(&str, FoldWord); 7] = [
    ("min", FoldWord::Min),
    ("max", FoldWord::Max),
    ("sum", FoldWord::Sum),
    ("any", FoldWord::Any),
    ("all", FoldWord::All),
    ("first", FoldWord::First),
    ("last", FoldWord::Last),
];

/// A column by its name, what it is unless that is wrong, and where its `by` was written.
struct ReadColumn {
    name: Placed<String>,
    fold: Option<Fold>,
    by_place: Option<Placed<String>>,
}

/// How a table is kept up to date, as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ModeWord {
    Merge,
    View,
}

const MODES: [(&str, ModeWord); 2] = [("merge", ModeWord::Merge), ("view", ModeWord::View)];

/// Keys that only a merged table has.
const OF_MERGES: [&str; 4] = ["columns", "batch_rows", "delete_when", "order_dependent"];

pub(super) fn use_case(name: String, mut reader: Reader<'_>, known: &Known<'_>) -> Option<UseCaseTable> {
    let mode = reader.choice("mode", &MODES).map_or(ModeWord::Merge, |choice| choice.value);
    let from = reader.required("from", Reader::one_or_more);
    let sql = sql_file(&mut reader, known);
    let key = reader.required("key", Reader::names);
    let partition_by = reader.string("partition_by");
    let (from, mode) = match mode {
        ModeWord::Merge => {
            let from = from.and_then(|from| raw_origin(&reader, &from, known)).map(|origin| vec![origin]);
            (from, merge(&mut reader, key.as_deref(), partition_by.as_ref()).map(Mode::Merge))
        }
        ModeWord::View => {
            for only in OF_MERGES {
                if let Some(value) = reader.value(only) {
                    let complaint =
                        Complaint::new(format!("`{only}` is for tables with mode = \"merge\", and this one is a view"));
                    reader.complain(&value.span(), complaint.hint("a view's columns are those that its SQL yields"));
                }
            }
            (from.and_then(|from| inputs(&reader, &name, &from, known)), Some(Mode::View))
        }
    };
    reader.finish();

    let (sql_file, sql) = sql?;
    Some(UseCaseTable {
        name,
        from: from?,
        sql,
        sql_file,
        key: key?.into_iter().map(|column| column.value).collect(),
        partition_by: partition_by.map(|column| column.value),
        mode: mode?,
    })
}

/// The one raw table that is folded.
fn raw_origin(reader: &Reader<'_>, from: &[Placed<String>], known: &Known<'_>) -> Option<Origin> {
    if let [_, second, ..] = from {
        let complaint = Complaint::new("a table is merged from one raw table");
        reader.complain(&second.place, complaint.hint("with mode = \"view\" it may read several"));
        return None;
    }
    let from = &from[0];
    if from.value.starts_with("use_case.") {
        let complaint = Complaint::new(format!("a table is merged from a raw table, and `{}` is none", from.value));
        reader.complain(&from.place, complaint.hint("with mode = \"view\" it may read use-case tables"));
        return None;
    }
    let name = from.value.strip_prefix("raw.").unwrap_or(&from.value);
    if known.raw.may_hold(name) {
        return Some(Origin::Raw(name.to_owned()));
    }
    check_reference(reader, from, "raw", &known.raw);
    None
}

/// The tables that a view reads.
fn inputs(reader: &Reader<'_>, view: &str, from: &[Placed<String>], known: &Known<'_>) -> Option<Vec<Origin>> {
    let origins: Vec<Option<Origin>> = from.iter().map(|from| input(reader, view, from, known)).collect();
    let origins: Vec<Origin> = origins.into_iter().collect::<Option<_>>()?;
    for (index, origin) in origins.iter().enumerate() {
        if origins[..index].contains(origin) {
            reader.complain(&from[index].place, Complaint::new(format!("`{origin}` is in `from` twice")));
        }
    }
    Some(origins)
}

fn input(reader: &Reader<'_>, view: &str, from: &Placed<String>, known: &Known<'_>) -> Option<Origin> {
    let (of_raw, of_use_case) = match from.value.split_once('.') {
        Some(("raw", name)) => (Some(name), None),
        Some(("use_case", name)) => (None, Some(name)),
        _ => (Some(from.value.as_str()), Some(from.value.as_str())),
    };
    if of_use_case == Some(view) && (of_raw.is_none() || !known.raw.may_hold(view)) {
        reader.complain(
            &from.place,
            Complaint::new("a view cannot read itself").hint("name the raw table or the other view that it reads"),
        );
        return None;
    }
    let raw = of_raw.filter(|name| known.raw.may_hold(name));
    let use_case = of_use_case.filter(|name| known.use_cases.may_hold(name) && *name != view);
    match (raw, use_case) {
        (Some(raw), Some(use_case)) if known.raw.all.contains(&raw) && known.use_cases.all.contains(&use_case) => {
            let complaint = Complaint::new(format!("there are two tables `{raw}`"));
            reader.complain(&from.place, complaint.hint(format!("write `raw.{raw}` or `use_case.{raw}`")));
            None
        }
        (Some(raw), None) => Some(Origin::Raw(raw.to_owned())),
        (None, Some(use_case)) => Some(Origin::UseCase(use_case.to_owned())),
        (Some(name), Some(_)) if known.raw.all.contains(&name) => Some(Origin::Raw(name.to_owned())),
        (Some(_), Some(name)) => Some(Origin::UseCase(name.to_owned())),
        (None, None) => {
            no_table(reader, from, known);
            None
        }
    }
}

fn merge(reader: &mut Reader<'_>, key: Option<&[Placed<String>]>, partition_by: Option<&Placed<String>>) -> Option<Merge> {
    let batch_rows = reader.count("batch_rows").unwrap_or(defaults::USE_CASE_BATCH_ROWS);
    let delete_when = reader.string("delete_when").map(|sql| sql.value);
    let order_dependent = reader.flag("order_dependent").is_some_and(|flag| flag.value);
    let columns = reader.required("columns", |reader, key| columns(reader, key))?;
    for column in &columns {
        if key.is_some_and(|key| key.iter().any(|key| key.value == column.name.value)) {
            let complaint = Complaint::new(format!("`{}` is in `key`, and a key is not folded", column.name.value));
            reader.complain(&column.name.place, complaint);
        }
        check_by(reader, column, &columns);
    }
    if let (Some(key), Some(partition_by)) = (key, partition_by) {
        check_partition(reader, partition_by, key, &columns);
    }
    let column = |column: ReadColumn| Some(UseCaseColumn { name: column.name.value, fold: column.fold? });
    let columns = columns.into_iter().map(column).collect::<Option<_>>()?;
    Some(Merge { columns, batch_rows, delete_when, order_dependent })
}

fn check_partition(reader: &Reader<'_>, partition_by: &Placed<String>, key: &[Placed<String>], columns: &[ReadColumn]) {
    let names = || key.iter().map(|key| key.value.as_str()).chain(columns.iter().map(|column| column.name.value.as_str()));
    if names().all(|name| name != partition_by.value) {
        let hint = suggest(&partition_by.value, names().collect::<Vec<_>>(), "columns");
        let complaint = Complaint::new(format!("there is no column `{}`", partition_by.value));
        reader.complain(&partition_by.place, complaint.maybe_hint(hint));
    }
}

fn columns(reader: &mut Reader<'_>, key: &'static str) -> Option<Vec<ReadColumn>> {
    let place = reader.value(key)?.span();
    let columns: Vec<ReadColumn> = reader.named(key).into_iter().map(|(name, value)| column(reader, name, value)).collect();
    if columns.is_empty() {
        reader.complain(&place, Complaint::new("a use-case table needs at least one column beside its key"));
        return None;
    }
    Some(columns)
}

fn column(parent: &Reader<'_>, name: Placed<String>, value: &Spanned<DeValue<'_>>) -> ReadColumn {
    let Some(table) = value.get_ref().as_table() else {
        parent.wrong_type(&name.value, value, "a table such as { fold = \"min\" } or { sql = \"...\" }");
        return ReadColumn { name, fold: None, by_place: None };
    };
    let mut reader = Reader::new(table, value.span(), parent.problems);
    let (fold_given, sql_given) = (reader.value("fold").is_some(), reader.value("sql").is_some());
    let word = reader.choice("fold", &FOLDS);
    let by = reader.string("by");
    let sql = reader.string("sql");
    if fold_given == sql_given {
        let complaint = Complaint::new(format!("column `{}` needs either `fold` or `sql`", name.value));
        reader.complain(&reader.place, complaint);
    }
    let takes_by = word.as_ref().map(|word| matches!(word.value, FoldWord::First | FoldWord::Last));
    match (&by, takes_by) {
        (None, Some(true)) if reader.value("by").is_none() => {
            let word = word.as_ref().map_or(reader.place.clone(), |word| word.place.clone());
            let complaint = Complaint::new(format!("first or last by what? column `{}` has no `by`", name.value));
            reader.complain(&word, complaint.hint("add `by = \"...\"` with the column that orders"));
        }
        (Some(by), Some(false)) => reader.complain(&by.place, Complaint::new("`by` goes with `first` and `last` only")),
        (Some(by), None) if sql_given && !fold_given => {
            reader.complain(&by.place, Complaint::new("`by` goes with a `fold`, and this column is computed"));
        }
        _ => {}
    }
    reader.finish();

    let fold = match (word.map(|word| word.value), by.clone(), sql) {
        (Some(FoldWord::Min), ..) => Some(Fold::Min),
        (Some(FoldWord::Max), ..) => Some(Fold::Max),
        (Some(FoldWord::Sum), ..) => Some(Fold::Sum),
        (Some(FoldWord::Any), ..) => Some(Fold::Any),
        (Some(FoldWord::All), ..) => Some(Fold::All),
        (Some(FoldWord::First), by, _) => by.map(|by| Fold::FirstBy(by.value)),
        (Some(FoldWord::Last), by, _) => by.map(|by| Fold::LastBy(by.value)),
        (None, _, sql) => sql.map(|sql| Fold::Sql(sql.value)),
    };
    ReadColumn { name, fold, by_place: by }
}

/// The value that belongs to the first `by` can be kept over many batches only if the smallest `by` is kept beside it: `first`
/// needs a `by` that is folded with min, `last` one that is folded with max.
fn check_by(reader: &Reader<'_>, column: &ReadColumn, columns: &[ReadColumn]) {
    let (Some(by), Some(fold)) = (&column.by_place, &column.fold) else { return };
    let (word, needed, needed_word) = match fold {
        Fold::FirstBy(_) => ("first", Fold::Min, "min"),
        Fold::LastBy(_) => ("last", Fold::Max, "max"),
        _ => return,
    };
    let folded = columns.iter().filter(|column| column.fold.as_ref() == Some(&needed)).map(|column| column.name.value.as_str());
    let hint = suggest(&by.value, folded.collect::<Vec<_>>(), &format!("columns with fold = \"{needed_word}\""));
    let complaint = match columns.iter().find(|column| column.name.value == by.value) {
        None => Complaint::new(format!("there is no folded column `{}`", by.value)),
        Some(ReadColumn { fold: Some(found), .. }) if *found != needed => {
            Complaint::new(format!("`{word}` is by a column with fold = \"{needed_word}\", and `{}` is not one", by.value))
        }
        Some(_) => return,
    };
    let explained = hint.unwrap_or_else(|| format!("add the column that orders to the table, with fold = \"{needed_word}\""));
    reader.complain(&by.place, complaint.hint(explained));
}
