//! The stage `url-to-landing` as a program of its own: `url-to-landing PIPELINE`, with the flags of `sluice url-to-landing`.

fn main() -> std::process::ExitCode {
    pipelines::cli::stage_main(model::report::StageName::UrlToLanding)
}
