//! From the folder's texts to a [`Pipeline`], or to all that is wrong with them.

mod cassandra;
mod columns;
mod csv;
mod endpoint;
mod page;
mod raw;
mod reading;
mod source;
mod urls;
mod use_case;

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use urls::URL_SCHEMES;

use super::error::{Complaint, DefinitionErrors, Placed, Problem, Problems};
use super::names::{nearest, suggest};
use super::places::Places;
use super::reader::Reader;
use super::variables::Lookup;
use super::{Origin, Pipeline, PipelineClock, UseCaseTable, defaults, hash, secrets};

/// The texts of a pipeline's folder, read by the caller.
#[derive(Debug, Clone, Default)]
pub struct DefinitionText {
    /// How `pipeline.toml` is named in errors, usually its path.
    pub path: String,
    /// The content of `pipeline.toml`.
    pub toml: String,
    /// The content of every other file (`*.sql`) by its name in the folder.
    pub files: BTreeMap<String, String>,
}

/// What was read of a definition.
#[derive(Debug)]
pub struct Reading {
    /// All of it where nothing is wrong; else the tables that could be read, whatever they refer to.
    pub pipeline: Pipeline,
    pub places: Places,
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
}

/// Reads and checks a definition. `variables` answers `${NAME}`.
///
/// A file that is not TOML yields its syntax errors only; any other yields all of its problems at once.
pub fn read(text: &DefinitionText, variables: &dyn Fn(&str) -> Option<String>) -> Result<Pipeline, DefinitionErrors> {
    let Reading { pipeline, places, problems } = read_all(text, variables)?;
    if problems.is_empty() { Ok(pipeline) } else { Err(places.errors(problems)) }
}

/// Like [`read`], for those who look at what can be read even where something else is wrong. Fails where the file is not TOML.
pub fn read_all(text: &DefinitionText, variables: &dyn Fn(&str) -> Option<String>) -> Result<Reading, DefinitionErrors> {
    let (root, syntax_errors) = DeTable::parse_recoverable(&text.toml);
    let root = root.get_ref();
    let problems = Problems::new(&text.path, &text.toml);
    if !syntax_errors.is_empty() {
        note_syntax_errors(&problems, &syntax_errors, &text.toml);
        return Err(DefinitionErrors {
            path: text.path.clone(),
            text: secrets::mask_unparsed(&text.toml),
            files: BTreeMap::new(),
            problems: problems.into_sorted(),
        });
    }
    let known = Known::collect(root, &text.files, variables);
    let pipeline = pipeline(root, &problems, &known);
    let places = Places::collect(text, secrets::mask_parsed(&text.toml, root), root);
    Ok(Reading { pipeline, places, problems: problems.into_sorted() })
}

/// One mistake often makes the parser stumble more than once in a line: the first of each line is told.
fn note_syntax_errors(problems: &Problems<'_>, errors: &[toml::de::Error], text: &str) {
    let mut places: Vec<_> = errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    places.sort_by_key(|(place, _)| place.start);
    let (mut last_line, mut last_message, mut doubled_table) = (None, None, None);
    let mut doubled_header: Option<&str> = None;
    for (place, message) in places {
        let line = text.get(..place.start).map(|before| before.matches('\n').count());
        if last_line == Some(line) {
            continue;
        }
        last_line = Some(line);
        // A bracket that is not closed makes every line wrong that follows.
        if last_message == Some(message) && message != "duplicate key" {
            continue;
        }
        last_message = Some(message);
        let (message, hint) = match message {
            "duplicate key" => {
                // A table that is there twice has most of its keys and its own tables twice, too: told once.
                let header = text.get(..place.start).and_then(|before| format!("\n{before}").rfind("\n["));
                let name = header_at(text, &place);
                let is_within = |outer: &str| name.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
                if doubled_table == Some(header) || doubled_header.is_some_and(is_within) {
                    doubled_table = Some(header);
                    continue;
                }
                if problems.is_header(&place) {
                    doubled_table = Some(header);
                    doubled_header = Some(name);
                }
                let hint = "give one of the two another name, or take it out";
                (format!("`{}` is defined twice", problems.written_at(&place)), Some(hint))
            }
            other => {
                let (said, hint) = in_plain_words(other, text.get(place.start..).unwrap_or_default());
                (format!("not TOML: {said}"), hint)
            }
        };
        problems.add(&place, Complaint::new(message).maybe_hint(hint.map(str::to_owned)));
    }
}

/// The name of the table in whose header a place is.
fn header_at<'t>(text: &'t str, place: &std::ops::Range<usize>) -> &'t str {
    let start = text.get(..place.start).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    line.trim().trim_start_matches('[').split(']').next().unwrap_or_default()
}

/// What the parser says, for someone who has not read the grammar of TOML; `rest` is the text from the place on.
fn in_plain_words<'m>(message: &'m str, rest: &str) -> (&'m str, Option<&'static str>) {
    let line = rest.lines().next().unwrap_or_default().trim();
    match message.trim_end_matches(", expected literal string") {
        "string values must be quoted" if line.is_empty() || line.starts_with('#') => ("there is no value after `=`", None),
        "string values must be quoted" => ("a text must be in quotes", Some("write it as in `format = \"csv\"`")),
        "invalid basic string, expected `\"`" => ("this text does not end in its line", Some("add the `\"` that closes it")),
        "missing comma between array elements, expected `,`" => {
            ("this cannot be part of a list", Some("a list above it is not closed, or lacks a comma: [\"a\", \"b\"]"))
        }
        other => (other, None),
    }
}

/// What a part of the definition may refer to: known from the keys of the file, so that one mistake does not cause others.
struct Known<'t> {
    sources: Names<'t>,
    landings: Names<'t>,
    /// The landings whose records have their fields by a header, not by a path.
    csv_landings: Vec<&'t str>,
    raw: Names<'t>,
    use_cases: Names<'t>,
    cassandra: Names<'t>,
    endpoints: Names<'t>,
    pages: Names<'t>,
    files: &'t BTreeMap<String, String>,
    variables: Lookup<'t>,
    /// What `ttl` and retention count by; wall time where the file says something that is no clock.
    clock: PipelineClock,
    /// Whether any raw table has one, a misspelt one included.
    has_event_time: bool,
}

/// The names in a section.
struct Names<'t> {
    all: Vec<&'t str>,
    /// False where a table lacks its name (`[source]` instead of `[source.NAME]`) or the section is misspelt.
    complete: bool,
}

impl Names<'_> {
    fn may_hold(&self, name: &str) -> bool {
        self.all.contains(&name) || !self.complete
    }
}

impl<'t> Known<'t> {
    fn collect(root: &'t DeTable<'t>, files: &'t BTreeMap<String, String>, variables: Lookup<'t>) -> Self {
        let tables = |section: &str| root.get(section).and_then(|section| section.get_ref().as_table()).into_iter().flatten();
        let names = |section: &str| Names {
            all: tables(section).map(|(name, _)| name.get_ref().as_ref()).collect(),
            complete: match root.get(section) {
                Some(_) => tables(section).all(|(_, value)| value.get_ref().is_table()),
                None => root.keys().all(|key| nearest(key.get_ref(), [section]).is_none()),
            },
        };
        let clock = root.get("pipeline").and_then(|pipeline| pipeline.get_ref().get("clock"));
        Self {
            sources: names("source"),
            landings: names("landing"),
            csv_landings: tables("landing")
                .filter(|(_, landing)| {
                    landing.get_ref().get("format").is_some_and(|format| format.get_ref().as_str() == Some("csv"))
                })
                .map(|(name, _)| name.get_ref().as_ref())
                .collect(),
            raw: names("raw"),
            use_cases: names("use_case"),
            cassandra: names("cassandra"),
            endpoints: names("endpoint"),
            pages: names("page"),
            files,
            variables,
            clock: clock.and_then(|clock| clock_of(clock.get_ref())).unwrap_or(PipelineClock::Wall),
            has_event_time: tables("raw").any(|(_, raw)| {
                let mut keys = raw.get_ref().as_table().into_iter().flatten();
                keys.any(|(key, _)| nearest(key.get_ref(), ["event_time"]).is_some())
            }),
        }
    }
}

/// Complains if a reference is to nothing.
fn check_reference(reader: &Reader<'_>, name: &Placed<String>, section: &str, names: &Names<'_>) {
    if names.may_hold(&name.value) {
        return;
    }
    let bare = name.value.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')).unwrap_or(&name.value);
    let hint = suggest(bare, names.all.iter().copied(), &format!("in [{section}]"));
    let hint = hint.unwrap_or_else(|| format!("there is no [{section}.NAME] in this file"));
    reader.complain(&name.place, Complaint::new(format!("there is no [{section}.{}]", name.value)).hint(hint));
}

/// Complains that a table of the lake is not there.
fn no_table(reader: &Reader<'_>, from: &Placed<String>, known: &Known<'_>) {
    let use_cases = known.use_cases.all.iter().map(|table| format!("use_case.{table}"));
    let all: Vec<String> = use_cases.chain(known.raw.all.iter().map(|table| format!("raw.{table}"))).collect();
    let table = from.value.rsplit('.').next().unwrap_or_default();
    let same_table = all.iter().find(|full| full.split_once('.').is_some_and(|(_, name)| name == table));
    let hint = match same_table {
        Some(full) => Some(format!("did you mean `{full}`?")),
        None => suggest(&from.value, all.iter().map(String::as_str), "tables"),
    };
    reader.complain(&from.place, Complaint::new(format!("there is no table `{}`", from.value)).maybe_hint(hint));
}

/// The SQL text of a table: its file's name and content.
fn sql_file(reader: &mut Reader<'_>, known: &Known<'_>) -> Option<(String, String)> {
    let name = reader.required("sql", Reader::string)?;
    let Some(sql) = known.files.get(&name.value) else {
        let first = name.value.split_whitespace().next().unwrap_or_default();
        if first.len() < name.value.trim().len() && ["select", "with"].iter().any(|word| first.eq_ignore_ascii_case(word)) {
            let complaint = Complaint::new("`sql` is the name of a file, and this is a statement");
            let hint = "write it into a file beside this one, and here the file's name, as in `sql = \"NAME.sql\"`";
            reader.complain(&name.place, complaint.hint(hint));
            return None;
        }
        let hint = suggest(&name.value, known.files.keys().map(String::as_str), "files");
        let hint = hint.unwrap_or_else(|| "write a SELECT into a file with this name, beside this one".into());
        reader.complain(&name.place, Complaint::new(format!("there is no file `{}`", name.value)).hint(hint));
        return None;
    };
    if is_without_statement(sql) {
        let complaint = Complaint::new(format!("`{}` holds no statement", name.value));
        reader.complain(&name.place, complaint.hint("write a SELECT into it"));
        return None;
    }
    Some((name.value, sql.clone()))
}

/// True if there is nothing but comments.
fn is_without_statement(sql: &str) -> bool {
    let mut rest = sql.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    while !rest.is_empty() {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else {
            return false;
        };
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    }
    true
}

/// What can be read; it is whole if no problem was noted.
fn pipeline<'t>(root: &'t DeTable<'t>, problems: &'t Problems<'t>, known: &Known<'_>) -> Pipeline {
    let mut file = Reader::new(root, 0..0, problems);

    let header = file.required("pipeline", Reader::table).map(|mut reader| {
        let name = reader.required("name", Reader::name).map(|name| name.value);
        let description = reader.string("description").map(|description| description.value);
        let clock = reader.value("clock").map_or(Some(defaults::CLOCK), |value| clock(&reader, value, known));
        reader.finish();
        (name, description, clock)
    });
    let sources = each(&mut file, "source", |name, reader| source::source(name, reader, known));
    let landings = each(&mut file, "landing", |name, reader| source::landing(name, reader, known));
    let raw = each(&mut file, "raw", |name, reader| raw::raw_table(name, reader, known));
    let use_cases = each(&mut file, "use_case", |name, reader| use_case::use_case(name, reader, known));
    // Of a key that is wrong, nothing can be said about what it answers.
    let mut sound = Vec::new();
    let cassandra = each(&mut file, "cassandra", |name, reader| {
        let before = problems.count();
        let table = cassandra::cassandra_table(name, reader, known)?;
        sound.extend((problems.count() == before).then(|| table.clone()));
        Some(table)
    });
    let mut paths = Vec::new();
    let endpoints = each(&mut file, "endpoint", |name, reader| endpoint::endpoint(name, reader, known, &sound, &mut paths));
    let mut links = Vec::new();
    let pages = each(&mut file, "page", |name, reader| page::page(name, reader, known, &endpoints, &mut links));
    page::check_links(&file, &pages, &links, known);
    note_cycles(&file, &use_cases);
    if known.sources.all.is_empty() && !file.meant("source") {
        file.complain(&(0..0), Complaint::new("a pipeline needs at least one source").hint("add [source.NAME] with its `url`"));
    }
    file.finish_as("section");

    let (name, description, clock) = header.unwrap_or_default();
    let mut pipeline = Pipeline {
        name: name.unwrap_or_default(),
        description,
        clock: clock.unwrap_or(defaults::CLOCK),
        sources,
        landings,
        raw,
        use_cases,
        cassandra,
        endpoints,
        pages,
        hash: String::new(),
    };
    pipeline.hash = hash::pipeline_hash(&pipeline);
    pipeline
}

/// Views may read each other, but not in a circle.
fn note_cycles(file: &Reader<'_>, use_cases: &[UseCaseTable]) {
    let reads = |name: &str| {
        let table = use_cases.iter().find(|table| table.name == name);
        table.into_iter().flat_map(|table| &table.from).filter_map(|origin| match origin {
            Origin::UseCase(name) => Some(name.as_str()),
            Origin::Raw(_) => None,
        })
    };
    let mut told: Vec<&str> = Vec::new();
    for table in use_cases {
        // The shortest way back to where it began.
        let mut ways: VecDeque<Vec<&str>> = [vec![table.name.as_str()]].into();
        let mut seen: Vec<&str> = Vec::new();
        while let Some(way) = ways.pop_front() {
            let last = way[way.len() - 1];
            if way.len() > 1 && last == table.name {
                if way.iter().all(|name| !told.contains(name)) {
                    told.extend(&way);
                    let complaint = Complaint::new(format!("views read each other in a circle: {}", way.join(", which reads ")));
                    let place = file.place_of("use_case", &table.name).unwrap_or(0..0);
                    file.complain(
                        &place,
                        complaint.hint("one of them must read from raw tables, or from one that is not in the circle"),
                    );
                }
                break;
            }
            for next in reads(last).filter(|next| !seen.contains(next)).collect::<Vec<_>>() {
                seen.push(next);
                ways.push_back([way.as_slice(), &[next]].concat());
            }
        }
    }
}

/// Reads every `[section.NAME]`; those that are wrong are left out.
fn each<'t, T>(file: &mut Reader<'t>, section: &'static str, mut read: impl FnMut(String, Reader<'t>) -> Option<T>) -> Vec<T> {
    let tables = file.named(section);
    if let Some((key, value)) = tables.iter().find(|(_, value)| !value.get_ref().is_table()) {
        let name = &key.value;
        let is_list = value.get_ref().as_array().is_some_and(|list| list.iter().all(|value| value.get_ref().is_table()));
        let complaint = if is_list {
            let complaint = Complaint::new(format!("`{name}` is written as a list"));
            complaint.hint(format!("write [{section}.{name}], with one bracket on each side"))
        } else {
            let complaint = Complaint::new(format!("`{name}` is not in a table with a name"));
            complaint.hint(format!("write [{section}.NAME] above it, with a name of your choice"))
        };
        file.complain(&key.place, complaint);
        return Vec::new();
    }
    let read = |(name, value): (Placed<String>, _)| read(name.value.clone(), file.table_in(&name.value, value)?);
    tables.into_iter().filter_map(read).collect()
}

fn clock(reader: &Reader<'_>, value: &Spanned<DeValue<'_>>, known: &Known<'_>) -> Option<PipelineClock> {
    let clock = clock_of(value.get_ref());
    if clock.is_none() {
        let complaint = match value.get_ref() {
            DeValue::String(text) => Complaint::new(format!("`clock` cannot be `{text}`")),
            DeValue::Datetime(instant) => Complaint::new(format!("`clock` cannot be `{instant}`")),
            _ => Complaint::new("`clock` must be a string or an instant"),
        };
        let words = "write \"wall\", \"newest_event\", or an instant with its offset, as in \"2016-12-01T00:00:00Z\"";
        let near = value.get_ref().as_str().and_then(|text| nearest(text, ["wall", "newest_event"]));
        reader.complain(&value.span(), complaint.hint(near.map_or(words.to_owned(), |near| format!("did you mean `{near}`?"))));
    }
    if clock == Some(PipelineClock::NewestEvent) && !known.has_event_time {
        let complaint = Complaint::new("`newest_event` needs a raw table with an `event_time`, and there is none");
        reader.complain(&value.span(), complaint);
    }
    clock
}

fn clock_of(value: &DeValue<'_>) -> Option<PipelineClock> {
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(instant) => instant.to_string(),
        _ => return None,
    };
    match text.as_str() {
        "wall" => Some(PipelineClock::Wall),
        "newest_event" => Some(PipelineClock::NewestEvent),
        _ => DateTime::parse_from_rfc3339(&text).ok().map(|instant| PipelineClock::Fixed(instant.with_timezone(&Utc))),
    }
}

#[cfg(test)]
mod tests {
    use super::is_without_statement;

    #[test]
    fn comments_are_no_statement() {
        for sql in ["", " \n;", "-- a", "-- a\n/* b\n */ ;\n-- c", "/* open"] {
            assert!(is_without_statement(sql), "{sql}");
        }
        for sql in ["select 1", "-- a\nselect 1", "/* a */ select 1 -- b", "- 1"] {
            assert!(!is_without_statement(sql), "{sql}");
        }
    }
}
