//! What the server counts, in Prometheus form.
//!
//! Contract: every name is here and has its help text; counters end in `_total`, times are seconds. Labels have few values: the names
//! of endpoints, methods that HTTP knows, statuses, ids of keys that exist. Nothing that a caller makes up becomes a label.

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Answers, by `endpoint`, `method` and `status`.
pub const REQUESTS: &str = "sluice_http_requests_total";
/// From the head of a request to the end of its answer, by `endpoint`.
pub const REQUEST_SECONDS: &str = "sluice_http_request_duration_seconds";
/// Bytes of answers as they were sent, by `endpoint`.
pub const RESPONSE_BYTES: &str = "sluice_http_response_bytes_total";
/// Requests whose handler works now.
pub const IN_FLIGHT: &str = "sluice_http_requests_in_flight";
/// Connections that are open now.
pub const CONNECTIONS: &str = "sluice_http_connections";
/// Connections that the server ended or refused, by `reason`.
pub const CONNECTIONS_ENDED: &str = "sluice_http_connections_ended_total";
/// Answers over HTTP/2 that the server ended while others of their connection went on, by `reason`.
pub const STREAMS_ENDED: &str = "sluice_http_streams_ended_total";
/// Requests that no handler saw, by `reason`: the code of the problem.
pub const REJECTED: &str = "sluice_http_rejected_total";
/// Requests over the limit of a key, by `key`.
pub const RATE_LIMITED: &str = "sluice_http_rate_limited_total";
/// Refused keys, by `reason`; the caller is not told which.
pub const KEYS_REFUSED: &str = "sluice_api_keys_refused_total";
/// Keys that open something now.
pub const KEYS_ACTIVE: &str = "sluice_api_keys_active";
/// How often the changed file of keys was read, by `result` (`ok`, `failed`).
pub const KEYS_READ: &str = "sluice_api_keys_read_total";
/// How often a changed certificate was read, by `result` (`ok`, `failed`).
pub const CERTIFICATES_READ: &str = "sluice_tls_certificates_read_total";
/// Reads from Cassandra, by `endpoint` and `result` (`ok`, `failed`, `timeout`).
pub const CASSANDRA_REQUESTS: &str = "sluice_cassandra_requests_total";
/// How long a read from Cassandra takes, retries included, by `endpoint`.
pub const CASSANDRA_SECONDS: &str = "sluice_cassandra_request_duration_seconds";
/// Reads that were tried again, by `endpoint`.
pub const CASSANDRA_RETRIES: &str = "sluice_cassandra_retries_total";
/// How the pipeline is: 0 well, 1 to be looked at, 2 failing.
pub const PIPELINE_HEALTH: &str = "sluice_pipeline_health";
/// Rows of a Delta table, by `table`.
pub const TABLE_ROWS: &str = "sluice_table_rows";
/// Versions (files, of a landing) that a table has still to take in, by `table` and `from`.
pub const TABLE_BEHIND: &str = "sluice_table_behind";
/// The newest event that is in a table, by `table`.
pub const TABLE_NEWEST_EVENT: &str = "sluice_table_newest_event_timestamp_seconds";
/// When the newest run on record began.
pub const LAST_RUN: &str = "sluice_last_run_timestamp_seconds";
/// 1; the version is its label.
pub const BUILD_INFO: &str = "sluice_build_info";

/// Seconds. Dense where the promise of an endpoint lies (half a second at the 90th percentile), and down to a row from memory.
const BUCKETS: [f64; 15] = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The process's metrics; clones share them.
#[derive(Clone)]
pub struct Metrics(Option<PrometheusHandle>);

impl Metrics {
    /// Makes this program's recorder the global one, once. Where another was there first, there is nothing to show here.
    pub fn install() -> Self {
        static INSTALLED: OnceLock<Metrics> = OnceLock::new();
        INSTALLED
            .get_or_init(|| {
                let builder = [REQUEST_SECONDS, CASSANDRA_SECONDS].into_iter().fold(PrometheusBuilder::new(), |builder, name| {
                    let matcher = Matcher::Full(name.to_owned());
                    builder.set_buckets_for_metric(matcher, &BUCKETS).expect("there are buckets")
                });
                let recorder = builder.build_recorder();
                let handle = recorder.handle();
                let is_ours = metrics::set_global_recorder(recorder).is_ok();
                describe();
                Self(is_ours.then_some(handle))
            })
            .clone()
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        self.0.as_ref().map(PrometheusHandle::render).unwrap_or_default()
    }

    /// Folds what was recorded since; to be called every few seconds, or samples pile up while nobody asks.
    pub(crate) fn upkeep(&self) {
        if let Some(handle) = &self.0 {
            handle.run_upkeep();
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

fn describe() {
    describe_counter!(REQUESTS, Unit::Count, "Answers, by endpoint, method and status.");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "From the head of a request to the end of its answer, by endpoint.");
    describe_counter!(RESPONSE_BYTES, Unit::Bytes, "Bytes of answers' bodies as they were sent, by endpoint.");
    describe_gauge!(IN_FLIGHT, Unit::Count, "Requests whose handler works now.");
    describe_gauge!(CONNECTIONS, Unit::Count, "Connections that are open now.");
    describe_counter!(CONNECTIONS_ENDED, Unit::Count, "Connections that the server ended or refused, by reason.");
    describe_counter!(STREAMS_ENDED, Unit::Count, "Answers over HTTP/2 that the server ended alone, by reason.");
    describe_counter!(REJECTED, Unit::Count, "Requests that no handler saw, by reason.");
    describe_counter!(RATE_LIMITED, Unit::Count, "Requests over the limit of a key, by the key's id.");
    describe_counter!(KEYS_REFUSED, Unit::Count, "Keys that did not open, by reason.");
    describe_gauge!(KEYS_ACTIVE, Unit::Count, "Keys that open something now.");
    describe_counter!(KEYS_READ, Unit::Count, "How often the changed file of keys was read, by result.");
    describe_counter!(CERTIFICATES_READ, Unit::Count, "How often a changed TLS certificate was read, by result.");
    describe_counter!(CASSANDRA_REQUESTS, Unit::Count, "Reads from Cassandra, by endpoint and result.");
    describe_histogram!(CASSANDRA_SECONDS, Unit::Seconds, "How long a read from Cassandra takes, retries included, by endpoint.");
    describe_counter!(CASSANDRA_RETRIES, Unit::Count, "Reads from Cassandra that were tried again, by endpoint.");
    describe_gauge!(PIPELINE_HEALTH, Unit::Count, "How the pipeline is: 0 well, 1 to be looked at, 2 failing.");
    describe_gauge!(TABLE_ROWS, Unit::Count, "Rows of a Delta table, by table.");
    describe_gauge!(
        TABLE_BEHIND,
        Unit::Count,
        "Versions, or landed files, that a table has still to take in, by table and from."
    );
    describe_gauge!(TABLE_NEWEST_EVENT, Unit::Seconds, "When the newest event that is in a table was, by table.");
    describe_gauge!(LAST_RUN, Unit::Seconds, "When the newest run on record began.");
    describe_gauge!(BUILD_INFO, Unit::Count, "Always 1; the program's version is its label.");
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}
