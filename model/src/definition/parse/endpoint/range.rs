//! `range = { column = "ts", bucket = "day", max = "366 days" }`.

use super::not_in_key;
use crate::definition::defaults;
use crate::definition::endpoints::{Bucket, Filter, Range};
use crate::definition::error::{Complaint, Placed, Span};
use crate::definition::reader::Reader;
use crate::definition::tables::CassandraTable;
use crate::definition::units::{self, SECONDS_PER_DAY};

/// A range as it is written.
pub(super) struct Ranged {
    place: Span,
    column: Placed<String>,
    bucket: Option<Placed<String>>,
    bucket_width: Option<Placed<u64>>,
    max: Option<Placed<u64>>,
    default: Option<Placed<u64>>,
    step: Option<Placed<u64>>,
}

pub(super) fn range(reader: &mut Reader<'_>) -> Option<Ranged> {
    let mut range = reader.table("range")?;
    let column = range.required("column", Reader::name);
    let bucket = range.name("bucket");
    let mut span = |key| {
        let span = range.quantity(key, "24 hours", units::duration)?;
        if span.value == 0 {
            range.complain(&span.place, Complaint::new(format!("`{key}` must be at least a second")));
            return None;
        }
        Some(span)
    };
    let (bucket_width, max, default, step) = (span("bucket_width"), span("max"), span("default"), span("step"));
    let place = range.place.clone();
    range.finish();
    Some(Ranged { place, column: column?, bucket, bucket_width, max, default, step })
}

/// The range over a table whose key it must fit.
pub(super) fn check(reader: &Reader<'_>, table: &CassandraTable, ranged: &Ranged, filters: &[Placed<Filter>]) -> Option<Range> {
    let mut whole = true;
    let mut complain = |place: &Span, complaint: Complaint| {
        reader.complain(place, complaint);
        whole = false;
    };
    let is_filtered = |column: &str| filters.iter().any(|filter| filter.value.column == column);
    let column = &ranged.column;
    if is_filtered(&column.value) {
        complain(&column.place, Complaint::new(format!("`{}` is given already, and cannot be a range too", column.value)));
    }
    let bucket = ranged.bucket.as_ref();
    if let Some(bucket) = bucket {
        if !table.partition_key.contains(&bucket.value) {
            let complaint =
                Complaint::new(format!("the bucket `{}` is not in the partition key of {}", bucket.value, table.name));
            complain(&bucket.place, complaint.hint(format!("its partition key is {}", table.partition_key.join(", "))));
        } else if is_filtered(&bucket.value) {
            complain(&bucket.place, Complaint::new(format!("`{}` is given already, and cannot be a bucket too", bucket.value)));
        }
        if ranged.max.is_none() {
            let complaint = Complaint::new("a range over buckets needs `max`, its greatest length");
            complain(
                &ranged.place,
                complaint.hint("without it one request could read any number of partitions; add e.g. max = \"366 days\""),
            );
        }
    } else if let Some(width) = &ranged.bucket_width {
        complain(&width.place, Complaint::new("`bucket_width` without `bucket`"));
    }
    let clustering = table.clustering.iter().position(|(name, _)| *name == column.value);
    match clustering {
        Some(position) => {
            if let Some((before, _)) = table.clustering[..position].iter().find(|(before, _)| !is_filtered(before)) {
                let complaint =
                    Complaint::new(format!("a range over `{}` needs `{before}`, which is before it in the order", column.value));
                complain(&column.place, complaint.hint(format!("bind `{before}`, or make a table with another key")));
            }
        }
        None if bucket.is_some_and(|bucket| bucket.value == column.value) => {}
        None if table.partition_key.contains(&column.value) => {
            let complaint =
                Complaint::new(format!("`{}` is of the partition key: its values are asked for one by one", column.value));
            complain(
                &column.place,
                complaint.hint(format!("add bucket = \"{0}\" for the range {{ column = \"{0}\" }}", column.value)),
            );
        }
        None => {
            not_in_key(reader, column, table);
            whole = false;
        }
    }
    let width = ranged.bucket_width.as_ref().map_or(SECONDS_PER_DAY, |width| width.value);
    let mut complain = |place: &Span, complaint: Complaint| {
        reader.complain(place, complaint);
        whole = false;
    };
    if let Some(max) = &ranged.max {
        if bucket.is_some() && max.value / width > defaults::MOST_BUCKETS {
            let complaint = Complaint::new("this is over 10,000 partitions for one request");
            complain(&max.place, complaint.hint("make the range shorter, or the bucket wider"));
        }
        if let Some(default) = ranged.default.as_ref().filter(|default| default.value > max.value) {
            complain(&default.place, Complaint::new("`default` is more than `max`"));
        }
    }
    if let Some(step) = &ranged.step
        && bucket.is_some()
        && !width.is_multiple_of(step.value)
    {
        complain(&step.place, Complaint::new("`step` does not divide the bucket"));
    }
    whole.then(|| Range {
        column: column.value.clone(),
        bucket: bucket.map(|bucket| Bucket { column: bucket.value.clone(), width_seconds: width }),
        max_seconds: ranged.max.as_ref().map(|max| max.value),
        default_seconds: ranged.default.as_ref().map(|default| default.value),
        step_seconds: ranged.step.as_ref().map(|step| step.value),
    })
}
