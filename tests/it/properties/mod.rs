//! What holds whatever the data: properties over random cases, and bytes that nobody would write.
//!
//! A failing case is made as small as it can be, printed with its seed, and kept in `regressions/`, where it is tried first from
//! then on. `PROPTEST_CASES` asks for more cases, `PROPTEST_RNG_SEED` for the same ones. CONTRIBUTING.md says how to go on from a
//! failure.

mod ahead;
mod bounds;
mod decoders;
mod definitions;
mod folds;
mod fuzz;
mod lake;
mod merges;
mod positions;
mod snapshots;

use proptest::test_runner::{Config, FileFailurePersistence};

/// So many cases, or as many as `PROPTEST_CASES` says; what fails is kept in this file.
fn cases(usual: u32, regressions: &'static str) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    Config {
        cases: asked.unwrap_or(usual),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        // A step of making a case smaller is a whole lake.
        max_shrink_iters: 300,
        ..Config::default()
    }
}

/// Where the failures of a module are kept.
macro_rules! regressions {
    ($name:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/it/properties/regressions/", $name, ".txt")
    };
}
use regressions;
