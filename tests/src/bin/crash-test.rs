//! The crash proof at length: every point at its first, a middle and its last pass, then random kills (see `tests::crash`).

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tests::crash::scenario::STEPS;
use tests::crash::{Proof, Summary, Trial, each_alone, every_pass, random};

#[derive(Parser)]
#[command(name = "crash-test", about = "Kills the real program at every step and at random times, and compares what it leaves.")]
struct Arguments {
    /// Random kills that hit, beside those at every point: some come too late
    #[arg(long, default_value_t = 1000)]
    kills: usize,

    /// Of the random kills: the same seed plans the same kills [default: the time]
    #[arg(long)]
    seed: Option<u64>,

    /// Trials at a time
    #[arg(long, default_value_t = 2)]
    workers: usize,

    /// Only this random trial, by its number
    #[arg(long)]
    trial: Option<usize>,

    /// Only the points of this step, as it is named when the program begins
    #[arg(long)]
    step: Option<String>,

    /// Only the random kills
    #[arg(long)]
    random_only: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| chrono::Utc::now().timestamp().unsigned_abs());
    eprintln!("seed {seed}");
    let program = std::env::current_exe().expect("a program knows where it is").with_file_name("sluice");
    let proof = Proof::new(program).await;
    for (number, (step, passes)) in STEPS.iter().zip(proof.passes()).enumerate() {
        let (points, passes, took) = (passes.len(), passes.values().sum::<u64>(), proof.took(number).as_millis());
        eprintln!("{}: {points} points, {passes} passes, {took} ms", step.name);
    }
    // Several in ten come after the program has ended: more are drawn than are to hit.
    let drawn = random(proof.passes(), 2 * arguments.kills, seed);
    let mut summary = Summary::default();
    if let Some(number) = arguments.trial {
        let Some(trial) = drawn.get(number) else {
            eprintln!("error: there are {} trials", drawn.len());
            return ExitCode::from(2);
        };
        summary.extend(told(&proof, "trial", number, std::slice::from_ref(trial), 1).await);
    } else {
        if let Some(step) = &arguments.step {
            summary.extend(told(&proof, step, 0, &within(every_pass(proof.passes()), step), arguments.workers).await);
        } else if !arguments.random_only {
            summary.extend(told(&proof, "every point", 0, &every_pass(proof.passes()), arguments.workers).await);
            let left = each_alone(proof.passes(), summary.not_met(proof.passes()).into_iter());
            summary.extend(told(&proof, "points that were not met", 0, &left, arguments.workers).await);
            let not_met = summary.not_met(proof.passes());
            if !not_met.is_empty() {
                eprintln!("error: no trial died at {not_met:?}");
                return ExitCode::FAILURE;
            }
        }
        if arguments.step.is_none() {
            summary.extend(random_times(&proof, &drawn, &arguments).await);
        }
    }
    println!("seed {seed}: {summary}");
    if summary.failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("one random trial again: crash-test --kills {} --seed {seed} --trial NUMBER", arguments.kills);
    ExitCode::FAILURE
}

/// What is left of trials when only one step is disturbed.
fn within(mut trials: Vec<Trial>, step: &str) -> Vec<Trial> {
    for trial in &mut trials {
        STEPS.iter().zip(&mut trial.kills).filter(|(other, _)| other.name != step).for_each(|(_, kills)| kills.clear());
    }
    trials.retain(|trial| trial.count() > 0);
    trials
}

/// As many of the trials, in their order, as it takes for so many kills to hit.
async fn random_times(proof: &Proof, drawn: &[Trial], arguments: &Arguments) -> Summary {
    let mut summary = Summary::default();
    while summary.trials < drawn.len() && summary.total.kills < arguments.kills {
        let missing = arguments.kills - summary.total.kills;
        let rest = &drawn[summary.trials..];
        let planned = rest.iter().scan(0, |planned, trial| {
            let before = *planned;
            *planned += trial.count();
            Some(before)
        });
        let next = planned.take_while(|before| *before < missing).count();
        summary.extend(told(proof, "random", summary.trials, &rest[..next], arguments.workers).await);
    }
    summary
}

/// Runs trials, of which the first has this number, and says how far they are.
async fn told(proof: &Proof, what: &str, first: usize, trials: &[Trial], workers: usize) -> Summary {
    let started = Instant::now();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let mut summary = proof
        .run(trials, workers, &|number, outcomes| {
            let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            if !outcomes.differences.is_empty() {
                eprintln!("{what} {} {}: {}", first + number, trials[number], outcomes.differences.join("\n  "));
            } else if done.is_multiple_of(10) || done == trials.len() {
                eprintln!("{what}: {done} of {} trials after {} s", trials.len(), started.elapsed().as_secs());
            }
        })
        .await;
    for (number, ..) in &mut summary.failed {
        *number += first;
    }
    eprintln!("{what}: {summary}");
    summary
}
