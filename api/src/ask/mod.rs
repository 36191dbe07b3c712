//! Asking Cassandra: partitions and slices of a request, in order, until the page is full.
//!
//! Every statement names one partition and has a limit. As many partitions as the page will likely need are read at the same time
//! ([`density`]), those after them a few at a time: a year of days of which most are empty costs tens of round trips after each
//! other, not hundreds.

mod density;
mod slices;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use cassandra::Store;
use cassandra::lookup::{self, Comparison, KeyValue, Lookup, Question, Row, Selected, Value};
use futures::{StreamExt, TryStreamExt};
use metrics::{Counter, Histogram, counter, histogram};
use model::definition::Order;
use tokio::time::Instant;

use self::density::Density;
use self::slices::Slice;
use crate::cursor::Position;
use crate::endpoint::{Answer, Bounds, Endpoint, TotalOf};
use crate::format::{Names, Rows};
use crate::metrics::{CASSANDRA_REQUESTS, CASSANDRA_RETRIES, CASSANDRA_SECONDS};

/// Partitions that are read at a time.
const READ_AHEAD: usize = 8;
/// Partitions whose totals are asked for at a time.
const TOTALS_AHEAD: usize = 16;

/// One endpoint with its statements. Statements are prepared when they are first needed; [`Asker::prepare`] needs the first.
pub(crate) struct Asker {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Of the fields of its answers.
    pub(crate) names: Names,
    store: Store,
    /// Where in what is selected each clustering column is.
    places: Vec<usize>,
    prepared: RwLock<HashMap<Shape, Arc<Lookup>>>,
    density: Density,
    answered: Counter,
    tried_again: Counter,
    seconds: Histogram,
}

/// What makes one statement different from another of the same endpoint.
type Shape = Vec<(usize, Comparison)>;

/// A request as it is asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Of the filters, in their order; fewer where optional ones were left out.
    pub(crate) filters: Vec<KeyValue>,
    pub(crate) bounds: Bounds,
    /// Where the page begins, if not at the beginning.
    pub(crate) after: Option<Position>,
    pub(crate) limit: u32,
}

/// The end of a page.
pub(crate) struct Page<'n> {
    pub(crate) rows: Rows<'n>,
    /// The last row, if there are more.
    pub(crate) next: Option<Position>,
}

/// A partition and a slice of it.
struct Job {
    bucket: Option<i64>,
    slice: Slice,
}

impl Asker {
    pub(crate) fn new(endpoint: Arc<Endpoint>, store: Store) -> Self {
        let names = match &endpoint.answer {
            Answer::Totals(totals) => Names::new(totals.iter().map(|total| total.name.as_str())),
            Answer::Rows | Answer::Newest => Names::new(endpoint.fields.iter().map(|field| field.name.as_str())),
        };
        Self {
            names,
            store,
            places: places_of_clustering(&endpoint),
            prepared: RwLock::default(),
            density: Density::default(),
            answered: counter!(CASSANDRA_REQUESTS, "endpoint" => endpoint.name.clone(), "result" => "ok"),
            tried_again: counter!(CASSANDRA_RETRIES, "endpoint" => endpoint.name.clone()),
            seconds: histogram!(CASSANDRA_SECONDS, "endpoint" => endpoint.name.clone()),
            endpoint,
        }
    }

    /// Prepares the statement that every first page needs, and so finds that the table is there and as it is declared.
    pub(crate) async fn prepare(&self) -> Result<(), lookup::Error> {
        let required = self.endpoint.filters.iter().filter(|filter| !filter.is_optional()).count();
        let given = required - self.filters_of_partition();
        let ranged = slices::ranged(&self.endpoint);
        let bounds = ranged.into_iter().flat_map(|column| [(column, Comparison::AtLeast), (column, Comparison::Less)]);
        let shape: Shape = (0..given).map(|column| (column, Comparison::Equal)).chain(bounds).collect();
        self.lookup(&shape).await.map(|_| ())
    }

    fn filters_of_partition(&self) -> usize {
        let endpoint = &self.endpoint;
        endpoint.filters.iter().filter(|filter| endpoint.partition.contains(&filter.column)).count()
    }

    async fn lookup(&self, shape: &Shape) -> Result<Arc<Lookup>, lookup::Error> {
        if let Some(lookup) = self.prepared.read().unwrap_or_else(PoisonError::into_inner).get(shape) {
            return Ok(Arc::clone(lookup));
        }
        let endpoint = &self.endpoint;
        let partition = endpoint.partition.iter().map(|column| (column.name.as_str(), Comparison::Equal));
        let clustering = shape.iter().map(|(column, comparison)| (endpoint.clustering[*column].0.name.as_str(), *comparison));
        let is_totals = matches!(endpoint.answer, Answer::Totals(_));
        let order = |column: usize| (endpoint.clustering[column].0.name.as_str(), slices::order(endpoint, column));
        let question = Question {
            table: &endpoint.table,
            selected: selected(endpoint),
            conditions: partition.chain(clustering).collect(),
            order: if endpoint.reverse && !is_totals { (0..endpoint.clustering.len()).map(order).collect() } else { Vec::new() },
            limited: !is_totals,
        };
        let lookup = Arc::new(self.store.prepare_lookup(&question).await?);
        self.prepared.write().unwrap_or_else(PoisonError::into_inner).insert(shape.clone(), Arc::clone(&lookup));
        Ok(lookup)
    }

    /// The partitions and slices of a request, in the order of their rows.
    fn jobs(&self, asked: &Asked) -> Vec<Job> {
        let endpoint = &self.endpoint;
        let given = &asked.filters[self.filters_of_partition().min(asked.filters.len())..];
        let whole = || slices::slices(endpoint, given, asked.bounds, None);
        let buckets = endpoint.range.as_ref().and_then(|range| range.buckets(asked.bounds));
        let after = asked.after.as_ref();
        let rest = after.map(|after| slices::slices(endpoint, given, asked.bounds, Some(&after.clustering)));
        let job = |bucket: Option<i64>| move |slice: Slice| Job { bucket, slice };
        let Some(buckets) = buckets else {
            return rest.unwrap_or_else(whole).into_iter().map(job(None)).collect();
        };
        let mut ordered: Vec<i64> = buckets.collect();
        if slices::newest_bucket_first(endpoint) {
            ordered.reverse();
        }
        let begun = after.and_then(|after| after.bucket).and_then(|bucket| ordered.iter().position(|known| *known == bucket));
        let mut jobs = Vec::new();
        if let (Some(begun), Some(rest)) = (begun, rest) {
            jobs.extend(rest.into_iter().map(job(Some(ordered[begun]))));
            ordered.drain(..=begun);
        }
        jobs.extend(ordered.into_iter().flat_map(|bucket| whole().into_iter().map(job(Some(bucket)))));
        jobs
    }

    async fn run(&self, asked: &Asked, job: &Job, limit: Option<u32>, deadline: Instant) -> Result<lookup::Rows, lookup::Error> {
        let shape: Shape = job.slice.conditions.iter().map(|(column, comparison, _)| (*column, *comparison)).collect();
        let lookup = self.lookup(&shape).await?;
        let endpoint = &self.endpoint;
        let bucket = job.bucket.and_then(|bucket| endpoint.range.as_ref()?.bucket_value(bucket));
        let of_filter = |name: &str| {
            let place = endpoint.filters.iter().position(|filter| filter.column.name == name);
            place.and_then(|place| asked.filters.get(place))
        };
        let partition = endpoint.partition.iter();
        let values =
            partition.map(|column| of_filter(&column.name).or(bucket.as_ref()).expect("the definition binds the partition key"));
        let clustering = job.slice.conditions.iter().map(|(_, _, value)| value);
        let values: Vec<&KeyValue> = values.chain(clustering).collect();
        let started = Instant::now();
        let answer = lookup.ask(&values, limit, deadline, || self.tried_again.increment(1)).await;
        let failed = |result| counter!(CASSANDRA_REQUESTS, "endpoint" => endpoint.name.clone(), "result" => result).increment(1);
        match &answer {
            Ok(_) => self.answered.increment(1),
            Err(lookup::Error::TooLate { .. }) => failed("timeout"),
            Err(_) => failed("failed"),
        }
        self.seconds.record(started.elapsed().as_secs_f64());
        answer
    }

    /// A page of rows.
    pub(crate) async fn page<'n>(&self, asked: &Asked, mut rows: Rows<'n>, deadline: Instant) -> Result<Page<'n>, lookup::Error> {
        let limit = asked.limit as usize;
        let is_newest = matches!(self.endpoint.answer, Answer::Newest);
        // One more tells whether there are more; of the newest row nobody asks that.
        let wanted = asked.limit.saturating_add(u32::from(!is_newest));
        let mut last: Option<Position> = None;
        let mut is_more = false;
        let mut jobs = self.jobs(asked).into_iter();
        let ask = |job: Job| async move {
            let answer = self.run(asked, &job, Some(wanted), deadline).await?;
            self.density.saw(answer.count(), wanted);
            Ok::<_, lookup::Error>((job.bucket, answer))
        };
        let likely = self.density.partitions_of(wanted, READ_AHEAD);
        // One alone needs no order among answers: what keeps it is made when it is needed.
        let alone = if likely == 1 { jobs.next() } else { None };
        let ahead: Vec<Job> = if likely == 1 { Vec::new() } else { jobs.by_ref().take(likely).collect() };
        let alone = futures::stream::iter(alone).then(ask);
        let ahead = futures::stream::iter(ahead).map(ask).buffered(likely);
        let rest = futures::stream::iter(jobs).map(ask).buffered(READ_AHEAD);
        let mut answers = std::pin::pin!(alone.chain(ahead).chain(rest));
        while let Some((bucket, answer)) = answers.try_next().await? {
            answer.each(|row: &Row<'_, '_>| {
                if rows.count() == limit {
                    is_more = true;
                    return Ok::<_, lookup::Error>(());
                }
                rows.row(row.values);
                if rows.count() == limit {
                    let clustering = self.places.iter().filter_map(|place| row.key(*place)).collect();
                    last = Some(Position { bounds: asked.bounds, bucket, clustering });
                }
                Ok(())
            })?;
            if is_more || (is_newest && rows.count() == limit) {
                break;
            }
        }
        Ok(Page { rows, next: last.filter(|_| is_more) })
    }

    /// Counts and sums over all partitions, written as one row.
    pub(crate) async fn totals(&self, asked: &Asked, rows: &mut Rows<'_>, deadline: Instant) -> Result<(), lookup::Error> {
        let Answer::Totals(totals) = &self.endpoint.answer else { return Ok(()) };
        let mut sums: Vec<Sum> = totals.iter().map(|total| Sum::zero(&total.of)).collect();
        let ask = |job: Job| async move { self.run(asked, &job, None, deadline).await };
        let asking = futures::stream::iter(self.jobs(asked)).map(ask).buffer_unordered(TOTALS_AHEAD);
        let mut answers = std::pin::pin!(asking);
        while let Some(answer) = answers.try_next().await? {
            answer.each(|row: &Row<'_, '_>| {
                sums.iter_mut().zip(row.values).for_each(|(sum, value)| sum.add(value));
                Ok::<_, lookup::Error>(())
            })?;
        }
        let values: Vec<Value<'_>> = sums.into_iter().map(Sum::value).collect();
        rows.row(&values);
        Ok(())
    }
}

/// The fields of the answer, then those clustering columns that are not among them: a cursor needs them.
fn selected(endpoint: &Endpoint) -> Vec<Selected<'_>> {
    if let Answer::Totals(totals) = &endpoint.answer {
        let total = |of| match of {
            &TotalOf::Rows => Selected::Count,
            TotalOf::Integers(column) => Selected::SumOfIntegers(column),
            TotalOf::Floats(column) => Selected::SumOfFloats(column),
        };
        return totals.iter().map(|of| total(&of.of)).collect();
    }
    let clustering = endpoint.clustering.iter().map(|(column, _)| column);
    let hidden = clustering.filter(|column| !endpoint.fields.contains(column));
    endpoint.fields.iter().chain(hidden).map(|column| Selected::Column(&column.name, column.cql_type)).collect()
}

/// Where in what is selected each clustering column is; a cursor holds their values. Sums have no cursors.
fn places_of_clustering(endpoint: &Endpoint) -> Vec<usize> {
    let selected = selected(endpoint);
    let place =
        |name: &str| selected.iter().position(|column| matches!(column, Selected::Column(selected, _) if *selected == name));
    endpoint.clustering.iter().filter_map(|(column, _)| place(&column.name)).collect()
}

/// The order in which rows come, for people.
pub(crate) fn order_text(endpoint: &Endpoint) -> String {
    let given =
        endpoint.filters.iter().filter(|filter| !filter.is_optional()).map(|filter| &filter.column.name).collect::<Vec<_>>();
    let columns = endpoint.clustering.iter().enumerate().filter(|(_, (column, _))| !given.contains(&&column.name));
    let column = |(place, (column, _)): (usize, &(crate::endpoint::Column, Order))| match slices::order(endpoint, place) {
        Order::Asc => column.name.clone(),
        Order::Desc => format!("{} descending", column.name),
    };
    columns.map(column).collect::<Vec<_>>().join(", ")
}

/// A sum over partitions, exact for whole numbers.
#[derive(Debug, Clone, Copy)]
enum Sum {
    Integer(i128),
    Float(f64),
}

impl Sum {
    fn zero(of: &TotalOf) -> Self {
        match of {
            TotalOf::Rows | TotalOf::Integers(_) => Self::Integer(0),
            TotalOf::Floats(_) => Self::Float(0.0),
        }
    }

    /// What there is none of (no row of a partition has the column) adds nothing.
    fn add(&mut self, value: &Value<'_>) {
        match (self, value) {
            // No sum of 64-bit numbers comes near: that would be 2^64 rows.
            (Self::Integer(sum), Value::Integer(number)) => *sum = sum.saturating_add((*number).into()),
            (Self::Integer(sum), Value::LargeInteger(number)) => *sum = sum.saturating_add(*number),
            (Self::Float(sum), Value::Double(number)) => *sum += number,
            _ => {}
        }
    }

    fn value(self) -> Value<'static> {
        match self {
            Self::Integer(sum) => i64::try_from(sum).map_or(Value::LargeInteger(sum), Value::Integer),
            Self::Float(sum) => Value::Double(sum),
        }
    }
}
