//! `[endpoint.NAME]`: a question that applications ask, answered from single partitions of a Cassandra table.

/// A question of the REST API. Every answer comes from partitions whose keys are known before anything is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub name: String,
    pub description: Option<String>,
    pub path: PathTemplate,
    /// Further paths with the same answer.
    pub aliases: Vec<PathTemplate>,
    /// The Cassandra table.
    pub table: String,
    /// Columns that must equal something: each partition column but the range's bucket, then the first clustering columns, in the
    /// order of the key.
    pub filters: Vec<Filter>,
    pub range: Option<Range>,
    pub answer: Answer,
    /// Against the table's own order.
    pub reverse: bool,
    /// Of the answer, in this order; empty for all columns of the table.
    pub fields: Vec<String>,
    /// Rows of an answer where the caller says nothing.
    pub page_size: u32,
    pub max_page_size: u32,
    /// For how many seconds an answer may be used again without asking; 0 means that it is asked each time whether it changed.
    pub cache_seconds: u64,
}

impl Endpoint {
    /// All paths, the main one first.
    pub fn paths(&self) -> impl Iterator<Item = &PathTemplate> {
        std::iter::once(&self.path).chain(&self.aliases)
    }

    /// The parameters that filters take, in the order of the key, and whether each may be left out.
    pub fn filter_parameters(&self) -> impl Iterator<Item = (&str, bool)> {
        self.filters.iter().filter_map(|filter| match &filter.value {
            FilterValue::Parameter { name, optional } => Some((name.as_str(), *optional)),
            FilterValue::Constant(_) => None,
        })
    }
}

/// A column that must equal something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub column: String,
    pub value: FilterValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterValue {
    /// Of the path or the query. Without an optional one, and what follows it, all values are asked for.
    Parameter { name: String, optional: bool },
    /// Written as a parameter would be.
    Constant(String),
}

/// A column whose values lie between two bounds, `from` included and `to` not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The clustering column after the filters, or the bucket itself.
    pub column: String,
    pub bucket: Option<Bucket>,
    /// The longest range, in seconds; always there with a bucket, so that the number of partitions has a bound.
    pub max_seconds: Option<u64>,
    /// How far back from now where the caller gives no bounds.
    pub default_seconds: Option<u64>,
    /// Values are multiples of so many seconds: bounds are moved outwards to the next.
    pub step_seconds: Option<u64>,
}

/// A partition column that cuts the range's column into pieces: `day`, of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub column: String,
    /// What a value of the bucket holds; values are multiples of it since 1970.
    pub width_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Rows, in pages.
    Rows,
    /// The first row of the order.
    Newest,
    /// One row: counts and sums over all rows.
    Totals(Vec<Total>),
}

/// A field of an answer of totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    pub name: String,
    /// The column that is summed; `None` counts rows.
    pub sum_of: Option<String>,
}

/// Parameters that a range takes, beside those of the filters.
pub const RANGE_PARAMETERS: [&str; 4] = ["from", "to", "hours", "days"];
/// Parameters that every answer of rows takes.
pub const PAGE_PARAMETERS: [&str; 2] = ["limit", "cursor"];

/// `/v1/buyers/{buyer}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    pub segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Literal(String),
    Parameter(String),
}

impl PathTemplate {
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// Whether every path of the one is a path of the other.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Literal(one), Segment::Literal(other)) => one == other,
                (Segment::Parameter(_), Segment::Parameter(_)) => true,
                _ => false,
            })
    }
}

impl std::fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        Ok(())
    }
}
