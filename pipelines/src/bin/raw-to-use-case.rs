//! The stage `raw-to-use-case` as a program of its own: `raw-to-use-case PIPELINE`, with the flags of `sluice raw-to-use-case`.

fn main() -> std::process::ExitCode {
    pipelines::cli::stage_main(model::report::StageName::RawToUseCase)
}
