//! What is wrong, in words, with what to do.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Overview, RunState, ServingState, Usual};

/// How bad something is; the worst is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Ok,
    /// Something that a person should look at; data that are there are right.
    Attention,
    /// Something that does not get better by itself.
    Failing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    /// What it is about: `runs`, `landing.NAME`, `raw.NAME`, `use_case.NAME`, `quarantine`, `cassandra`, `cassandra.NAME`, `lake`.
    pub about: String,
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The command that does it.
    pub command: Option<String>,
}

impl Overview {
    /// Finds what is wrong, and how well all is. `usual` is how often runs began until now.
    pub fn judge(&mut self, usual: Option<Usual>, now: DateTime<Utc>) {
        let mut findings = Vec::new();
        self.judge_lake(&mut findings);
        self.judge_runs(&mut findings, usual, now);
        self.judge_tables(&mut findings);
        self.judge_serving(&mut findings);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        self.health = findings.first().map_or(Severity::Ok, |finding| finding.severity);
        self.findings = findings;
    }

    fn run(&self) -> String {
        format!("sluice run {}", self.pipeline)
    }

    fn judge_lake(&self, findings: &mut Vec<Finding>) {
        let finding = |message, advice: &str| Finding {
            severity: Severity::Failing,
            about: "lake".to_owned(),
            message,
            advice: advice.to_owned(),
            command: None,
        };
        if let Some(problem) = &self.lake.problem {
            findings.push(finding(
                format!("the lake at {} cannot be read: {problem}", self.lake.path),
                "What is shown of it is from before. Mend what the message names; it is looked at again every few seconds.",
            ));
        } else if !self.lake.is_there {
            let advice = "Run the pipeline, or start the server where the lake is: LAKE_URI or --lake names its folder.";
            let mut finding = finding(format!("there is nothing of {} in the lake at {}", self.pipeline, self.lake.path), advice);
            finding.severity = Severity::Attention;
            finding.command = Some(self.run());
            findings.push(finding);
        }
    }

    fn judge_runs(&self, findings: &mut Vec<Finding>, usual: Option<Usual>, now: DateTime<Utc>) {
        let mut found = |severity, message: String, advice: &str, command| {
            findings.push(Finding { severity, about: "runs".to_owned(), message, advice: advice.to_owned(), command });
        };
        let Some(run) = &self.last_run else { return };
        match run.state {
            RunState::Failed => {
                let said = run.error.as_ref().map_or("it did not say why", |error| &error.message);
                let hint = run.error.as_ref().and_then(|error| error.hint.as_deref()).map_or_else(
                    || "Run it again: it goes on where it stopped.".to_owned(),
                    |hint| format!("To mend it: {hint}. Then run it again: it goes on where it stopped."),
                );
                let often = match run.attempts {
                    0 | 1 => String::new(),
                    times => format!(", as {} before it", counted(u64::from(times) - 1, "run")),
                };
                found(Severity::Failing, format!("the last run failed{often}: {said}"), &hint, Some(run.command.clone()));
            }
            RunState::CutOff => found(
                Severity::Failing,
                "the last run was cut off: its process is gone and did not say how it ended".to_owned(),
                "Run it again: it goes on where it stopped, and nothing is lost or doubled.",
                Some(run.command.clone()),
            ),
            RunState::Stopped => found(
                Severity::Attention,
                "the last run was stopped before its end".to_owned(),
                "Run it again when it may go on.",
                Some(run.command.clone()),
            ),
            RunState::Running | RunState::Done => {}
        }
        if !run.accounting_closes {
            found(
                Severity::Failing,
                format!("the accounting of the last run does not close: {}", run.counts),
                "Records were lost or counted twice: that is a defect of Sluice. Keep the lake as it is and look where.",
                Some(format!("sluice verify {}", self.pipeline)),
            );
        }
        if run.counts.rejected > 0 {
            found(
                Severity::Attention,
                format!("{} of {} records of the last run were set aside", run.counts.rejected, run.counts.read),
                "See what is wrong with them; once the definition is mended they are replayed.",
                Some(format!("sluice rejects {}", self.pipeline)),
            );
        }
        let since = (now - run.started_at).to_std().unwrap_or_default();
        if let Some(usual) = usual.filter(|usual| since > usual.every * 2 && run.state != RunState::Running) {
            found(
                Severity::Attention,
                format!(
                    "no run has begun for {}; usually one does every {}",
                    length(since.as_secs()),
                    length(usual.every.as_secs())
                ),
                "Look at what starts runs (cron, a timer, a scheduler).",
                Some(self.run()),
            );
        }
    }

    fn judge_tables(&self, findings: &mut Vec<Finding>) {
        // While a run goes on tables are behind as a matter of course, and after one that failed that is why.
        if self.holder.is_some() {
            return;
        }
        let tables = self.raw.iter().map(|table| ("raw", table)).chain(self.use_cases.iter().map(|table| ("use_case", table)));
        for (zone, table) in tables {
            for reading in &table.reads {
                let unit = if reading.from.starts_with("landing.") { "file" } else { "version" };
                let Some(behind) = reading.behind.filter(|behind| *behind > 0) else { continue };
                findings.push(Finding {
                    severity: Severity::Attention,
                    about: format!("{zone}.{}", table.name),
                    message: format!("{zone}.{} is {} behind {}", table.name, counted(behind, unit), reading.from),
                    advice: "The next run takes them in.".to_owned(),
                    command: Some(self.run()),
                });
            }
        }
    }

    fn judge_serving(&self, findings: &mut Vec<Finding>) {
        let serving = &self.serving;
        let reason = serving.reason.as_deref().unwrap_or("it does not answer");
        if matches!(serving.state, ServingState::Waiting | ServingState::Lost) {
            findings.push(Finding {
                severity: Severity::Failing,
                about: "cassandra".to_owned(),
                message: format!("Cassandra is not connected: {reason}"),
                advice: "Requests are answered 503 meanwhile; it is tried again every two seconds. Look whether it runs, and at CASSANDRA_HOST."
                    .to_owned(),
                command: None,
            });
        }
        if serving.state == ServingState::Unprepared {
            findings.push(Finding {
                severity: if self.lake.is_there { Severity::Failing } else { Severity::Attention },
                about: "cassandra".to_owned(),
                message: format!("tables that are served are missing in Cassandra, or differ: {reason}"),
                advice: "Requests are answered 503 until they are there. A run makes what is missing.".to_owned(),
                command: Some(self.run()),
            });
        }
        for node in serving.nodes.iter().filter(|node| !node.is_up) {
            findings.push(Finding {
                severity: Severity::Attention,
                about: "cassandra".to_owned(),
                message: format!("the Cassandra node {} is down", node.address),
                advice: "The others answer for it as long as enough replicas are left.".to_owned(),
                command: None,
            });
        }
        if self.holder.is_some() || serving.state != ServingState::Connected {
            return;
        }
        for table in &serving.tables {
            let (name, reads) = (&table.name, &table.reads);
            let about = format!("cassandra.{name}");
            let is_ahead = reads.position.zip(reads.version).is_some_and(|(position, version)| position > version);
            if is_ahead {
                findings.push(Finding {
                    severity: Severity::Failing,
                    about: about.clone(),
                    message: format!("the Cassandra table {name} was filled from a newer {} than the lake has", reads.from),
                    advice: "The lake went back, or this is another lake than the one that filled it. Make the lake whole, or fill the table anew."
                        .to_owned(),
                    command: Some(format!("sluice rebuild {} {about}", self.pipeline)),
                });
            } else if let Some(behind) = reads.behind.filter(|behind| *behind > 0) {
                findings.push(Finding {
                    severity: Severity::Attention,
                    about,
                    message: format!("the Cassandra table {name} is {} behind {}", counted(behind, "version"), reads.from),
                    advice: "Applications see the older state until the next run sends them.".to_owned(),
                    command: Some(self.run()),
                });
            }
        }
    }
}

fn counted(number: u64, unit: &str) -> String {
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// In the largest unit of which there are two.
fn length(seconds: u64) -> String {
    match seconds {
        0..120 => counted(seconds, "second"),
        120..7_200 => counted(seconds / 60, "minute"),
        7_200..172_800 => counted(seconds / 3600, "hour"),
        _ => counted(seconds / 86_400, "day"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::counts::Counts;
    use crate::operations::{LakeState, OPERATIONS_SCHEMA, Reading, RunError, RunSummary, ServedTable, Serving, TableState};

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn reading(position: u64, version: u64) -> Reading {
        let behind = version.saturating_sub(position);
        Reading { from: "raw.events".to_owned(), position: Some(position), version: Some(version), behind: Some(behind) }
    }

    fn well() -> Overview {
        let table = ServedTable { name: "t".to_owned(), reads: reading(7, 7), written_at: None, newest_event: None };
        Overview {
            schema: OPERATIONS_SCHEMA,
            pipeline: "p".to_owned(),
            lake: LakeState { path: "lake".to_owned(), is_there: true, problem: None },
            health: Severity::Failing,
            findings: Vec::new(),
            holder: None,
            last_run: Some(RunSummary {
                id: "1".to_owned(),
                command: "sluice run p".to_owned(),
                state: RunState::Done,
                started_at: now(),
                ended_at: Some(now()),
                error: None,
                attempts: 1,
                fetched: 0,
                counts: Counts::default(),
                merged: 0,
                sent: 0,
                accounting_closes: true,
                peak_memory_bytes: None,
                surprises: Vec::new(),
            }),
            landings: Vec::new(),
            raw: Vec::new(),
            quarantine: None,
            use_cases: vec![TableState { name: "u".to_owned(), reads: vec![reading(7, 7)], ..TableState::default() }],
            serving: Serving {
                keyspace: Some("p".to_owned()),
                state: ServingState::Connected,
                reason: None,
                nodes: Vec::new(),
                milliseconds: None,
                tables: vec![table],
            },
        }
    }

    fn judged(change: impl FnOnce(&mut Overview)) -> (Severity, Vec<String>) {
        let mut overview = well();
        change(&mut overview);
        overview.judge(Some(Usual { every: Duration::from_hours(1) }), now() + Duration::from_mins(1));
        (
            overview.health,
            overview.findings.into_iter().map(|finding| format!("{}: {}", finding.about, finding.message)).collect(),
        )
    }

    #[test]
    fn where_all_is_well_nothing_is_found() {
        assert_eq!(judged(|_| {}), (Severity::Ok, vec![]));
    }

    #[test]
    fn each_fault_is_found_and_the_worst_is_first() {
        type Case = (&'static str, fn(&mut Overview), Severity);
        let cases: [Case; 10] = [
            (
                "runs: the last run failed: disk full",
                |overview| {
                    let run = overview.last_run.as_mut().unwrap();
                    run.state = RunState::Failed;
                    run.error = Some(RunError { message: "disk full".to_owned(), hint: None, exit_code: 75 });
                },
                Severity::Failing,
            ),
            (
                "runs: the last run failed, as 2 runs before it: disk full",
                |overview| {
                    let run = overview.last_run.as_mut().unwrap();
                    (run.state, run.attempts) = (RunState::Failed, 3);
                    run.error = Some(RunError { message: "disk full".to_owned(), hint: None, exit_code: 75 });
                },
                Severity::Failing,
            ),
            (
                "runs: the last run was cut off",
                |overview| overview.last_run.as_mut().unwrap().state = RunState::CutOff,
                Severity::Failing,
            ),
            (
                "runs: the accounting of the last run does not close",
                |overview| {
                    overview.last_run.as_mut().unwrap().accounting_closes = false;
                },
                Severity::Failing,
            ),
            (
                "runs: no run has begun for 3 hours; usually one does every 60 minutes",
                |overview| {
                    overview.last_run.as_mut().unwrap().started_at -= Duration::from_hours(3);
                },
                Severity::Attention,
            ),
            (
                "use_case.u: use_case.u is 2 versions behind raw.events",
                |overview| {
                    overview.use_cases[0].reads[0] = reading(5, 7);
                },
                Severity::Attention,
            ),
            ("cassandra: Cassandra is not connected", |overview| overview.serving.state = ServingState::Lost, Severity::Failing),
            (
                "cassandra.t: the Cassandra table t is 1 version behind",
                |overview| {
                    overview.serving.tables[0].reads = reading(6, 7);
                },
                Severity::Attention,
            ),
            (
                "cassandra.t: the Cassandra table t was filled from a newer raw.events",
                |overview| {
                    overview.serving.tables[0].reads = reading(8, 7);
                },
                Severity::Failing,
            ),
            ("lake: there is nothing of p in the lake at lake", |overview| overview.lake.is_there = false, Severity::Attention),
        ];
        for (expected, change, severity) in cases {
            let (health, found) = judged(change);
            assert_eq!((health, found.len()), (severity, 1), "{found:?}");
            assert!(found[0].starts_with(expected), "{found:?}");
        }
        let (health, found) = judged(|overview| {
            overview.serving.tables[0].reads = reading(6, 7);
            overview.last_run.as_mut().unwrap().state = RunState::CutOff;
        });
        assert!(health == Severity::Failing && found.len() == 2 && found[0].starts_with("runs"), "{found:?}");
    }

    #[test]
    fn while_a_run_goes_on_tables_may_be_behind() {
        let (health, found) = judged(|overview| {
            overview.use_cases[0].reads[0] = reading(5, 7);
            overview.serving.tables[0].reads = reading(6, 7);
            let holder = super::super::HolderState { command: String::new(), process: 1, host: String::new(), since: now() };
            overview.holder = Some(holder);
        });
        assert_eq!((health, found), (Severity::Ok, vec![]));
    }
}
