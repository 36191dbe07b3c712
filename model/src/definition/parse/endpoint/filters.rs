//! What must equal what, and the proof that it names single partitions.

use super::{filter_value, is_taken, not_in_key};
use crate::definition::endpoints::{Filter, FilterValue, PathTemplate, RANGE_PARAMETERS, Range};
use crate::definition::error::{Complaint, Placed};
use crate::definition::names::{check_identifier, suggest};
use crate::definition::reader::Reader;
use crate::definition::tables::CassandraTable;

use super::range::Ranged;

/// The filters of `where`, as they are written.
pub(super) fn read(reader: &mut Reader<'_>) -> Vec<(Placed<String>, Placed<FilterValue>)> {
    let mut filters = Vec::new();
    for (column, written) in reader.named("where") {
        let Some(value) = filter_value(written.get_ref()) else {
            reader.wrong_type(&column.value, written, "a parameter, as in \"{name}\", or a value");
            continue;
        };
        if let FilterValue::Parameter { name, .. } = &value {
            if let Err(complaint) = check_identifier(name) {
                reader.complain(&written.span(), complaint);
                continue;
            }
            if is_taken(name) {
                let complaint = Complaint::new(format!("the parameter `{name}` has a meaning of its own"));
                reader.complain(&written.span(), complaint.hint("give the parameter another name"));
                continue;
            }
        }
        filters.push((column, Placed { value, place: written.span() }));
    }
    filters
}

/// The filters in the order of the key: those of `where`, and the parameters of paths that are named as a column of the key.
pub(super) fn bind(
    reader: &Reader<'_>,
    table: &CassandraTable,
    paths: &[Placed<PathTemplate>],
    written: Vec<(Placed<String>, Placed<FilterValue>)>,
    range: Option<&Ranged>,
) -> Option<Vec<Placed<Filter>>> {
    let mut whole = true;
    let mut filters: Vec<Placed<Filter>> = Vec::new();
    for (column, value) in written {
        if !key(table).any(|known| known == column.value) {
            not_in_key(reader, &column, table);
            whole = false;
            continue;
        }
        filters.push(Placed { value: Filter { column: column.value, value: value.value }, place: column.place });
    }
    for path in paths {
        for parameter in path.value.parameters() {
            let is_bound = filters.iter().any(|filter| parameter_of(&filter.value) == Some(parameter));
            if is_bound || (range.is_some() && RANGE_PARAMETERS.contains(&parameter)) {
                continue;
            }
            if !key(table).any(|known| known == parameter) || is_taken(parameter) {
                let complaint = Complaint::new(format!("nothing says what the parameter `{parameter}` is"));
                let hint = suggest(parameter, key(table), &format!("columns of the key of {}", table.name));
                let bind = format!("bind it: where = {{ COLUMN = \"{{{parameter}}}\" }}");
                let hint = match hint {
                    Some(near) if near.ends_with('?') => near,
                    Some(columns) => format!("{bind}; {columns}"),
                    None => bind,
                };
                reader.complain(&path.place, complaint.hint(hint));
                whole = false;
                continue;
            }
            if let Some(filter) = filters.iter().find(|filter| filter.value.column == parameter) {
                let complaint = Complaint::new(format!("`{}` is bound to something else in `where`", filter.value.column));
                reader.complain(&path.place, complaint);
                whole = false;
                continue;
            }
            let value = FilterValue::Parameter { name: parameter.to_owned(), optional: false };
            filters.push(Placed { value: Filter { column: parameter.to_owned(), value }, place: path.place.clone() });
        }
    }
    filters.sort_by_key(|filter| key(table).position(|column| column == filter.value.column));
    for (index, filter) in filters.iter().enumerate() {
        let Some(name) = parameter_of(&filter.value) else { continue };
        if filters[..index].iter().any(|earlier| parameter_of(&earlier.value) == Some(name)) {
            reader.complain(&filter.place, Complaint::new(format!("the parameter `{name}` is bound to two columns")));
            whole = false;
        }
    }
    whole.then_some(filters)
}

/// That filters and range name whole partitions, and within them rows that lie together.
pub(super) fn prove(
    reader: &Reader<'_>,
    table: &CassandraTable,
    filters: &[Placed<Filter>],
    range: Option<&Range>,
    paths: &[Placed<PathTemplate>],
) -> Option<()> {
    let filter = |column: &str| filters.iter().find(|filter| filter.value.column == column);
    let bucket = range.and_then(|range| range.bucket.as_ref()).map(|bucket| bucket.column.as_str());
    let mut whole = true;
    let mut complain = |place: &std::ops::Range<usize>, complaint: Complaint| {
        reader.complain(place, complaint);
        whole = false;
    };
    let path = &paths[0].place;
    for column in &table.partition_key {
        match filter(column) {
            None if bucket == Some(column) => {}
            None => {
                let complaint = Complaint::new(format!(
                    "nothing says which `{column}` is asked for, and {} is read by partition: it would be a scan",
                    table.name
                ));
                let hint = format!(
                    "add `{{{column}}}` to the path, or `where = {{ {column} = \"{{NAME}}\" }}`, or make it the bucket of a `range`; for another question make a table with another key"
                );
                complain(path, complaint.hint(hint));
            }
            Some(filter) if is_optional(&filter.value) => {
                let complaint = Complaint::new(format!("`{column}` is of the partition key, and cannot be left out"));
                complain(&filter.place, complaint.hint("take the `?` away"));
            }
            Some(_) => {}
        }
    }
    // What is before it in the order that is not given, or not always.
    let mut missing: Option<&str> = None;
    let mut optional: Option<&str> = None;
    for (column, _) in &table.clustering {
        let given = filter(column);
        if let (Some(given), Some(missing)) = (given, missing) {
            let complaint = Complaint::new(format!(
                "`{column}` can be asked for only together with `{missing}`, which is before it in the order"
            ));
            complain(&given.place, complaint.hint("it would need ALLOW FILTERING; make a table with another key"));
        }
        if let (Some(given), Some(optional)) = (given, optional)
            && !is_optional(&given.value)
        {
            let complaint =
                Complaint::new(format!("`{column}` must be given, and `{optional}` before it in the order need not be"));
            complain(
                &given.place,
                complaint.hint(format!("write `?` after the name of its parameter, or take that of `{optional}` away")),
            );
        }
        match given {
            None => missing = missing.or(Some(column)),
            Some(given) if is_optional(&given.value) => optional = optional.or(Some(column)),
            Some(_) => {}
        }
    }
    if let (Some(range), Some(optional)) = (range, optional)
        && table.clustering.iter().any(|(column, _)| *column == range.column)
    {
        let given = filter(optional).expect("it was found among the filters");
        let complaint = Complaint::new(format!("`{optional}` may be left out, and the range over `{}` needs it", range.column));
        complain(&given.place, complaint.hint("take the `?` away"));
    }
    for path in paths {
        for name in path.value.parameters() {
            if let Some(filter) =
                filters.iter().find(|filter| parameter_of(&filter.value) == Some(name) && is_optional(&filter.value))
            {
                if table.partition_key.contains(&filter.value.column) {
                    continue;
                }
                let complaint = Complaint::new(format!("`{name}` is in a path and cannot be left out"));
                complain(&filter.place, complaint.hint("take the `?` away"));
            }
        }
    }
    whole.then_some(())
}

fn key(table: &CassandraTable) -> impl Iterator<Item = &str> + Clone {
    table.partition_key.iter().map(String::as_str).chain(table.clustering.iter().map(|(column, _)| column.as_str()))
}

fn parameter_of(filter: &Filter) -> Option<&str> {
    match &filter.value {
        FilterValue::Parameter { name, .. } => Some(name),
        FilterValue::Constant(_) => None,
    }
}

fn is_optional(filter: &Filter) -> bool {
    matches!(filter.value, FilterValue::Parameter { optional: true, .. })
}
