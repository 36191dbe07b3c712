//! The stage `raw-to-cassandra` as a program of its own: `raw-to-cassandra PIPELINE`, with the flags of `sluice raw-to-cassandra`.

fn main() -> std::process::ExitCode {
    pipelines::cli::stage_main(model::report::StageName::RawToCassandra)
}
