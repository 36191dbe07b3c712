//! The stage `create-tables` as a program of its own: `create-tables PIPELINE`, with the flags of `sluice create-tables`.

fn main() -> std::process::ExitCode {
    pipelines::cli::stage_main(model::report::StageName::CreateTables)
}
