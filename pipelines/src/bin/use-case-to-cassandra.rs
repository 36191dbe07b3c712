//! The stage `use-case-to-cassandra` as a program of its own: `use-case-to-cassandra PIPELINE`, with the flags of `sluice use-case-to-cassandra`.

fn main() -> std::process::ExitCode {
    pipelines::cli::stage_main(model::report::StageName::UseCaseToCassandra)
}
