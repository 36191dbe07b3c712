//! The crash proof, short: see `tests::crash`. `make crash-test` is the long one.

use tests::crash::{Proof, each_alone, every_point, random};
use tests::kit::program;

/// Kills of the random trials.
const RANDOM_KILLS: usize = 10;
const SEED: u64 = 20_240_320;

/// Killed at each step that leaves a trace, also while it gets over a kill, and at random times, the program comes to where it
/// comes undisturbed: the same rows, provenance, load times, rejects, change feeds, counts and positions in the lake, the same
/// values and write times in Cassandra, the same receipts and checkpoints, and nothing left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_it_comes_to_where_it_comes_undisturbed() {
    let proof = Proof::new(program("sluice")).await;
    let mut summary = proof.run(&every_point(proof.passes()), 2, &|_, _| {}).await;
    let left = each_alone(proof.passes(), summary.not_met(proof.passes()).into_iter());
    summary.extend(proof.run(&left, 2, &|_, _| {}).await);
    summary.extend(proof.run(&random(proof.passes(), RANDOM_KILLS, SEED), 2, &|_, _| {}).await);
    println!("seed {SEED}: {summary}");
    assert!(summary.failed.is_empty(), "seed {SEED}: {summary}");
    assert_eq!(summary.not_met(proof.passes()), std::collections::BTreeSet::new(), "points at which it did not die");
}
