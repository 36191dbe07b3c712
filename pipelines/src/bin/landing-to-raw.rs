//! The stage `landing-to-raw` as a program of its own: `landing-to-raw PIPELINE`, with the flags of `sluice landing-to-raw`.

fn main() -> std::process::ExitCode {
    pipelines::cli::stage_main(model::report::StageName::LandingToRaw)
}
