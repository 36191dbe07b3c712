//! Runs the pages of `docs/` as a reader would: writes the files that they show, gives their commands, compares what comes out.
//!
//! What a page marks, in the words behind a fence:
//! - ```` ```toml orders/pipeline.toml ````: a file to write; with `append` behind it, to add to
//! - ```` ```console ````: lines that begin with `$ ` are commands; each line below one has to be part of a line of its output, in
//!   that order (blanks and rules of tables aside); other lines may stand between
//! - ```` ```console fails ````: the commands end with an error
//! - ```` ```console skip ````: not run
//!
//! `cqlsh ... -e "STATEMENT"` is asked over a session of its own: there may be no cqlsh. What is served at 127.0.0.1:8080 is served at a
//! port that is free.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests themselves do")]

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::cassandra_node;
use crate::kit::{KeyspaceSession, program};

/// A file or some commands.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    File { name: String, text: String, is_added: bool },
    Commands { commands: Vec<Shown>, fail: bool },
}

/// A command and what is shown of its output.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    command: String,
    output: Vec<String>,
}

/// A part of a page that stands for itself.
pub struct Guide {
    pub title: String,
    steps: Vec<Step>,
}

/// A page as one guide.
pub fn page(text: &str) -> Guide {
    Guide { title: text.lines().next().unwrap_or_default().to_owned(), steps: steps(text) }
}

/// The sections of a page that have something to run.
pub fn sections(text: &str) -> Vec<Guide> {
    let texts = text.split("\n## ").skip(1);
    let guides = texts.map(page);
    guides.filter(|guide| guide.steps.iter().any(|step| matches!(step, Step::Commands { .. }))).collect()
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let words: Vec<&str> = info.split_whitespace().collect();
        match words.as_slice() {
            ["console", marks @ ..] if !marks.contains(&"skip") => {
                steps.push(Step::Commands { commands: commands(&body), fail: marks.contains(&"fails") });
            }
            ["console", ..] | [] | [_] => {}
            [_, name, marks @ ..] => {
                let text = body.join("\n") + "\n";
                steps.push(Step::File { name: (*name).to_owned(), text, is_added: marks.contains(&"append") });
            }
        }
    }
    steps
}

fn commands(lines: &[&str]) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Shown { command: command.to_owned(), output: Vec::new() });
        } else if let (false, Some(last)) = (line.trim().is_empty(), commands.last_mut()) {
            last.output.push((*line).to_owned());
        }
    }
    commands
}

impl Guide {
    /// Does what the page says, in a folder of its own to which `prepare` adds what the page takes for granted. Returns what went
    /// otherwise.
    pub async fn run(&self, prepare: impl Fn(&Path)) -> Vec<String> {
        let folder = TempDir::with_prefix("sluice guide ").unwrap();
        prepare(folder.path());
        let needs_keyspace = self.steps.iter().any(
            |step| matches!(step, Step::Commands { commands, .. } if commands.iter().any(|shown| asks_cassandra(&shown.command))),
        );
        let address = free_address();
        let session = if needs_keyspace { Some(KeyspaceSession::new().await) } else { None };
        let mut wrong = Vec::new();
        for step in &self.steps {
            match step {
                Step::File { name, text, is_added } => {
                    let path = folder.path().join(name);
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    let before = if *is_added { std::fs::read_to_string(&path).unwrap() } else { String::new() };
                    std::fs::write(path, before + text).unwrap();
                }
                Step::Commands { commands, fail } => {
                    for shown in commands {
                        let (output, is_success) = match (&session, shown.command.starts_with("cqlsh ")) {
                            (Some(session), true) => match session.rows(statement(&shown.command)).await {
                                Ok(rows) => (rows.join("\n"), true),
                                Err(error) => (error, false),
                            },
                            (session, _) => {
                                let command = shown.command.replace(SERVED_AT, &address);
                                shell(&command, folder.path(), session.as_ref(), &address).await
                            }
                        };
                        let missing = missing(&shown.output, &output);
                        if is_success == *fail || missing.is_some() {
                            let missing = missing.map_or_else(String::new, |line| format!("not in its output: {line}\n"));
                            wrong.push(format!("{}: $ {}\n{missing}{output}", self.title, shown.command));
                        }
                    }
                }
            }
        }
        wrong
    }
}

fn asks_cassandra(command: &str) -> bool {
    ["cqlsh ", "sluice serve "].iter().any(|start| command.starts_with(start))
}

/// Where a page says that the REST API is.
const SERVED_AT: &str = "127.0.0.1:8080";

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// What stands between the last two double quotes.
fn statement(command: &str) -> &str {
    command.trim_end().strip_suffix('"').and_then(|rest| rest.rsplit_once('"')).expect("cqlsh -e \"...\"").1
}

async fn shell(command: &str, folder: &Path, session: Option<&KeyspaceSession>, address: &str) -> (String, bool) {
    let programs = program("sluice").parent().unwrap().to_owned();
    let path = std::env::join_paths(
        std::iter::once(programs).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env_clear();
    shell.envs(std::env::vars_os().filter(|(name, _)| name == "HOME")).env("PATH", path.unwrap()).env("PWD", folder);
    shell.env("API_LISTEN", address).env("API_METRICS_LISTEN", "none");
    if let Some(session) = session {
        shell.env("CASSANDRA_HOST", cassandra_node::hosts().await.to_string()).env("CASSANDRA_KEYSPACE", &session.keyspace);
    }
    let output = shell.output().unwrap();
    // What is said on the way comes before the report.
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (text, output.status.success())
}

/// The first shown line that the output lacks.
fn missing<'s>(shown: &'s [String], output: &str) -> Option<&'s String> {
    let mut lines = output.lines().map(plain);
    shown.iter().find(|line| {
        let wanted = plain(line);
        !lines.any(|line| line.contains(&wanted))
    })
}

/// A line without what is only there for the eye.
fn plain(line: &str) -> String {
    let words = line.split(|character: char| character.is_whitespace() || matches!(character, '|' | '│'));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_files_and_commands() {
        let text = "# T\n```csv a.csv\n1\n```\ntext\n```console fails\n$ one | two\n  x  │ y\n\n$ three\n```\n```toml\nx = 1\n```\n```console skip\n$ no\n```\n";
        let shown = |command: &str, output: &[&str]| Shown {
            command: command.into(),
            output: output.iter().map(|line| (*line).to_owned()).collect(),
        };
        let expected = [
            Step::File { name: "a.csv".into(), text: "1\n".into(), is_added: false },
            Step::Commands { commands: vec![shown("one | two", &["  x  │ y"]), shown("three", &[])], fail: true },
        ];
        assert_eq!(steps(text), expected);
        assert_eq!(sections("# T\n## A\n```console\n$ a\n```\n## B\n").len(), 1);
    }

    #[test]
    fn shown_lines_are_looked_for_in_order() {
        let shown = ["a  b".to_owned(), "c".to_owned()];
        assert_eq!(missing(&shown, "x\n│ a │ b │\nmore\nabc"), None);
        assert_eq!(missing(&shown, "c\na b"), Some(&shown[1]));
        assert_eq!(missing(&shown, "c"), Some(&shown[0]));
        assert_eq!(statement("cqlsh 127.0.0.1 1 -k x -e \"SELECT 'a'\""), "SELECT 'a'");
    }
}
