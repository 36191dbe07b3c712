//! From observed values to a column of a contract, with how sure that is and why.
//!
//! What is proposed fits every value that was observed. What the values leave open (a day before or after its month, a number
//! with a leading zero) stays text, with the choices beside it.

use std::collections::HashSet;

use model::definition::{Column, ColumnType};
use zones::decode::sample::Probe;

use super::observed::{Kind, Observed, Seen};
use super::times::{self, Times};

/// Names of numbers that nobody calculates with, and whose next value may begin with a zero.
const LABELS: [&str; 9] = ["zip", "zipcode", "postcode", "postal", "phone", "mobile", "fax", "iban", "isbn"];
/// So few different values, each so often, may be a closed list.
const MOST_CHOICES: usize = 12;
const TIMES_EACH: usize = 10;
/// More digits after the point are measurements.
const MOST_DECIMALS: usize = 4;

/// A proposed column.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    pub(super) name: String,
    /// What the field is called, where the column is called otherwise.
    pub(super) field: Option<String>,
    pub(super) data_type: ColumnType,
    pub(super) format: Option<String>,
    pub(super) nullable: bool,
    /// How sure, and why.
    pub(super) why: String,
    /// Other choices, each a line.
    pub(super) choices: Vec<String>,
    pub(super) facts: Facts,
}

/// What was counted in a column.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) records: usize,
    pub(super) missing: usize,
    pub(super) distinct: usize,
    /// The latest instant, of dates and times; microseconds since 1970.
    pub(super) latest: Option<i64>,
    /// For times: whether a zone is open.
    pub(super) is_local: bool,
}

impl Facts {
    pub(super) fn is_unique(&self) -> bool {
        self.missing == 0 && self.records > 1 && self.distinct == self.records
    }
}

/// What the values say.
struct Verdict {
    data_type: ColumnType,
    format: Option<String>,
    why: String,
    choices: Vec<String>,
    is_local: bool,
}

impl Verdict {
    fn new(data_type: ColumnType, why: impl Into<String>) -> Self {
        Self { data_type, format: None, why: why.into(), choices: Vec::new(), is_local: false }
    }

    fn or(mut self, choice: impl Into<String>) -> Self {
        self.choices.push(choice.into());
        self
    }
}

/// Proposes a column called `name` for these values. `sampled` says what part of the file they are, as in `sampled`.
pub(super) fn propose(observed: &Observed, name: &str, sampled: &str) -> Proposal {
    let present: Vec<&Seen> = observed.values.iter().filter(|seen| **seen != Seen::Missing).collect();
    let records = observed.values.len();
    let missing = records - present.len();
    let distinct = count_distinct(&present);
    let of_all = format!("all {} {sampled}values", grouped(present.len()));
    let verdict = match &observed.stated {
        Some(stated) => Verdict::new(stated.clone(), "the file states the type"),
        None => judge(&present, observed.kind, name, &of_all),
    };
    let Verdict { data_type, format, mut why, mut choices, is_local } = verdict;
    if missing > 0 && !present.is_empty() {
        why = format!("{why}; {} of {} missing", grouped(missing), grouped(records));
    }
    if observed.stated.is_none() {
        choices.extend(one_of(&data_type, &present, distinct));
    }
    let probe = Probe::new(&times::column(data_type.clone(), format.as_deref()));
    let is_time = matches!(data_type, ColumnType::Date | ColumnType::Timestamp);
    let latest =
        if is_time { present.iter().filter_map(|seen| text_of(seen).and_then(|text| probe.instant(text))).max() } else { None };
    let has_own_name = observed.field != name;
    let field = has_own_name.then(|| observed.field.clone());
    let facts = Facts { records, missing, distinct, latest, is_local };
    Proposal { name: name.to_owned(), field, data_type, format, nullable: missing > 0 || present.is_empty(), why, choices, facts }
}

fn judge(present: &[&Seen], kind: Kind, name: &str, of_all: &str) -> Verdict {
    if present.is_empty() {
        return Verdict::new(ColumnType::String, "guess: no value was seen");
    }
    let texts: Vec<&str> =
        present.iter().filter_map(|seen| if let Seen::Text(text) = seen { Some(text.as_str()) } else { None }).collect();
    let numbers: Vec<&str> =
        present.iter().filter_map(|seen| if let Seen::Number(text) = seen { Some(text.as_str()) } else { None }).collect();
    let booleans = present.iter().filter(|seen| matches!(seen, Seen::Boolean(_))).count();
    let nested = present.len() - texts.len() - numbers.len() - booleans;
    if booleans == present.len() {
        Verdict::new(ColumnType::Boolean, of_all)
    } else if numbers.len() == present.len() {
        of_numbers(&numbers, name, of_all)
    } else if texts.len() == present.len() {
        of_texts(&texts, kind, name, of_all)
    } else if nested == present.len() {
        Verdict::new(ColumnType::Json, format!("lists or objects in {of_all}: kept as JSON text"))
    } else {
        let kinds = [(texts.len(), "texts"), (numbers.len(), "numbers"), (booleans, "booleans"), (nested, "lists or objects")];
        let shown: Vec<String> =
            kinds.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} {what}", grouped(*count))).collect();
        Verdict::new(ColumnType::Json, format!("mixed: {}; kept as JSON text", shown.join(", ")))
    }
}

fn of_numbers(numbers: &[&str], name: &str, of_all: &str) -> Verdict {
    if numbers.iter().all(|number| is_plain_integer(number)) {
        return of_integers(numbers, name, of_all);
    }
    of_decimals(numbers, of_all)
}

fn of_texts(texts: &[&str], kind: Kind, name: &str, of_all: &str) -> Verdict {
    if kind == Kind::Csv {
        if let Some(verdict) = of_written_values(texts, name, of_all) {
            return verdict;
        }
    } else if texts.iter().all(|text| is_plain_integer(text)) {
        return Verdict::new(ColumnType::String, format!("digits in quotes in {of_all}: text, as the file has it"));
    }
    if fits(ColumnType::Uuid, texts) {
        return Verdict::new(ColumnType::Uuid, of_all);
    }
    match times::of_texts(texts).as_slice() {
        [] => {}
        [times] => return of_times(times, of_all),
        several => {
            let formats: Vec<String> =
                several.iter().map(|times| format!("{:?}", times.format.as_deref().unwrap_or("iso"))).collect();
            let data_type = several[0].data_type.text();
            return Verdict::new(
                ColumnType::String,
                format!("undecided: {of_all} fit {}; text until you choose", formats.join(" and ")),
            )
            .or(format!("{{ type = \"{data_type}\", format = {} }}", formats[0]))
            .or(format!("{{ type = \"{data_type}\", format = {} }}", formats[1]));
        }
    }
    if kind == Kind::Csv && texts.iter().all(|text| text.starts_with(['{', '['])) && fits(ColumnType::Json, texts) {
        return Verdict::new(ColumnType::Json, format!("JSON in {of_all}"));
    }
    Verdict::new(ColumnType::String, of_all)
}

/// Numbers and booleans that are written as text.
fn of_written_values(texts: &[&str], name: &str, of_all: &str) -> Option<Verdict> {
    let is_digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if texts.iter().all(is_digits) {
        let zeros = texts.iter().filter(|text| text.len() > 1 && text.starts_with('0')).count();
        if zeros > 0 {
            let why = format!("digits in {of_all}, but {} with a leading zero, which a number would lose", grouped(zeros));
            return Some(Verdict::new(ColumnType::String, why));
        }
        if name.split('_').any(|word| LABELS.contains(&word)) {
            let why = format!("guess, by its name: digits in {of_all}, and the next may begin with a zero");
            return Some(Verdict::new(ColumnType::String, why).or("{ type = \"int64\" }"));
        }
    }
    if texts.iter().all(|text| is_plain_integer(text)) {
        return Some(of_integers(texts, name, of_all));
    }
    if texts.iter().all(|text| is_plain_decimal(text)) {
        return Some(of_decimals(texts, of_all));
    }
    if fits(ColumnType::Boolean, texts) {
        return Some(Verdict::new(ColumnType::Boolean, of_all));
    }
    if fits(ColumnType::Float64, texts) {
        return Some(Verdict::new(ColumnType::Float64, format!("numbers with exponents or signs in {of_all}")));
    }
    let has_comma = |text: &&str| {
        text.split_once(',').is_some_and(|(a, b)| is_plain_integer(a) && b.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if texts.iter().all(|text| has_comma(text) || is_plain_integer(text)) {
        let why = format!("decimal commas in {of_all}: text, as only points are read");
        let sql = format!("{{ type = \"decimal(18, 4)\", sql = \"cast(replace({name}, ',', '.') as decimal(18, 4))\" }}");
        return Some(Verdict::new(ColumnType::String, why).or(format!("a column beside it: {name}_number = {sql}")));
    }
    None
}

fn of_times(times: &Times, of_all: &str) -> Verdict {
    let how = times.format.as_deref().map_or_else(|| "ISO 8601".to_owned(), |format| format!("`{format}`"));
    let is_local = times.data_type == ColumnType::Timestamp && !times.has_offset;
    let mut verdict = Verdict::new(times.data_type.clone(), format!("{how} in {of_all}"));
    if is_local {
        verdict.why.push_str("; guess: UTC, as not all say their offset");
        verdict.choices.push("zone = \"Europe/Berlin\", where they are local times of a place".to_owned());
    }
    verdict.format.clone_from(&times.format);
    verdict.is_local = is_local;
    verdict
}

fn of_integers(numbers: &[&str], name: &str, of_all: &str) -> Verdict {
    if times::are_compact_dates(numbers) {
        let mut verdict =
            Verdict::new(ColumnType::Date, format!("guess: days as 20240131 in {of_all}")).or("{ type = \"int32\" }");
        verdict.format = Some("%Y%m%d".to_owned());
        return verdict;
    }
    let is_called_time = name
        .split('_')
        .any(|word| ["at", "ts", "time", "timestamp", "date", "when", "epoch", "millis", "created", "updated"].contains(&word));
    if let Some(unit) = times::epoch_of(numbers).filter(|unit| is_called_time || *unit != "epoch_seconds") {
        let why = format!(
            "guess, by size{}: instants between 2000 and 2040 in {of_all}",
            if is_called_time { " and name" } else { "" }
        );
        let mut verdict = Verdict::new(ColumnType::Timestamp, why).or("{ type = \"int64\" }");
        verdict.format = Some(unit.to_owned());
        return verdict;
    }
    let parsed: Option<Vec<i64>> = numbers.iter().map(|number| number.parse().ok()).collect();
    let Some(parsed) = parsed else {
        let digits = numbers.iter().map(|number| number.trim_start_matches('-').len()).max().unwrap_or(0);
        if digits <= 38 {
            return Verdict::new(ColumnType::Decimal { precision: 38, scale: 0 }, format!("too large for int64: {of_all}"));
        }
        return Verdict::new(ColumnType::Float64, format!("guess: numbers of up to {digits} digits lose some of them"));
    };
    let (least, most) = (parsed.iter().min().copied().unwrap_or(0), parsed.iter().max().copied().unwrap_or(0));
    // Ten times as large still fits.
    let has_room = least > i64::from(i32::MIN) / 10 && most < i64::from(i32::MAX) / 10;
    let data_type = if has_room { ColumnType::Int32 } else { ColumnType::Int64 };
    let verdict = Verdict::new(data_type, format!("{least} to {most} in {of_all}"));
    if least >= 0 && most == 1 { verdict.or("{ type = \"boolean\" }, if 0 and 1 are no and yes") } else { verdict }
}

fn of_decimals(numbers: &[&str], of_all: &str) -> Verdict {
    if !numbers.iter().all(|number| is_plain_decimal(number)) {
        return Verdict::new(ColumnType::Float64, format!("numbers with exponents in {of_all}"));
    }
    let parts = |number: &&str| {
        let (whole, fraction) = number.trim_start_matches('-').split_once('.').unwrap_or((number, ""));
        (whole.len(), fraction.len())
    };
    let whole = numbers.iter().map(|number| parts(number).0).max().unwrap_or(0);
    let scale = numbers.iter().map(|number| parts(number).1).max().unwrap_or(0);
    if scale > MOST_DECIMALS || whole > 28 {
        return Verdict::new(
            ColumnType::Float64,
            format!("guess: measurements, with up to {scale} digits after the point, in {of_all}"),
        )
        .or(format!("{{ type = \"decimal(38, {scale})\" }}, where each digit counts"));
    }
    // Some digits of room before the point; none after it, since that is what the type is for.
    let precision = if whole + scale <= 14 { 18 } else { 38 };
    let scale = scale.max(1);
    let (precision, scale) = (precision, i8::try_from(scale).unwrap_or(4));
    Verdict::new(ColumnType::Decimal { precision, scale }, format!("at most {scale} digits after the point in {of_all}"))
        .or("{ type = \"float64\" }, where a value may have more digits than these")
}

fn one_of(data_type: &ColumnType, present: &[&Seen], distinct: usize) -> Option<String> {
    if *data_type != ColumnType::String || !(2..=MOST_CHOICES).contains(&distinct) || present.len() < distinct * TIMES_EACH {
        return None;
    }
    let mut values: Vec<&str> = present.iter().filter_map(|seen| text_of(seen)).collect();
    values.sort_unstable();
    values.dedup();
    let shown: Vec<String> = values.iter().map(|value| super::write::quoted(value)).collect();
    Some(format!("one_of = [{}], if the list is closed: others become rejects", shown.join(", ")))
}

fn count_distinct(present: &[&Seen]) -> usize {
    present.iter().map(|seen| text_of(seen)).collect::<HashSet<_>>().len()
}

pub(super) fn text_of(seen: &Seen) -> Option<&str> {
    match seen {
        Seen::Text(text) | Seen::Number(text) => Some(text),
        Seen::Boolean(true) => Some("true"),
        Seen::Boolean(false) => Some("false"),
        Seen::Missing | Seen::Nested => None,
    }
}

fn fits(data_type: ColumnType, texts: &[&str]) -> bool {
    let column: Column = times::column(data_type, None);
    let probe = Probe::new(&column);
    texts.iter().all(|text| probe.takes_text(text))
}

/// An integer as it would be written again.
fn is_plain_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'))
}

/// A number with or without a point, as it would be written again but for zeros at its end.
fn is_plain_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    is_plain_integer(whole.strip_prefix("-0").filter(|rest| rest.is_empty()).map_or(whole, |_| "0"))
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

/// A count with commas.
pub(super) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests;
