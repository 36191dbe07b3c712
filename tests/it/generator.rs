//! The demonstration file is what it says it is.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Command;
use tests::session_events::archive::{self, Compression};
use tests::session_events::{CheckError, Dataset, Options, OptionsError, Order, RejectKind, Truth, golden};

fn generate(options: &Options) -> Dataset {
    Dataset::generate(options).unwrap()
}

/// Each line that is an event by the contract, as (event, session, text of the line).
fn events(bytes: &[u8]) -> Vec<Value> {
    bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

/// The full file, read line by line as anybody would, has every published figure; so has the truth that is told about it.
#[test]
fn the_whole_file_has_all_published_figures() {
    #[derive(Default)]
    struct Session {
        start: u32,
        end: u32,
        country: String,
        player: String,
    }
    let dataset = generate(&Options::default());
    let truth = dataset.checked_truth().unwrap();
    let bytes = dataset.to_bytes();

    let (mut lines, mut last_ts, mut whole_seconds) = (0_u64, String::new(), 0);
    let mut sessions: HashMap<String, Session> = HashMap::new();
    let mut dates: BTreeMap<String, u64> = BTreeMap::new();
    for line in bytes.strip_suffix(b"\n").unwrap().split(|&byte| byte == b'\n') {
        let event: BTreeMap<&str, &str> = serde_json::from_slice(line).unwrap();
        let (session_id, player_id, ts) = (event["session_id"], event["player_id"], event["ts"]);
        assert!(session_id.len() == 36 && player_id.len() == 32 && !player_id.contains('-'), "{event:?}");
        // The fraction sorts after the bare second, so the texts sort as the instants do.
        assert!(last_ts.as_str() <= ts, "{last_ts} stands before {ts}");
        ts.clone_into(&mut last_ts);
        whole_seconds += u64::from(ts.len() == 19);
        assert!(ts.len() == 19 || ts.len() == 26, "{ts}");
        *dates.entry(ts[..10].to_owned()).or_default() += 1;
        let session = sessions.entry(session_id.to_owned()).or_default();
        if event["event"] == "start" {
            session.start += 1;
            event["country"].clone_into(&mut session.country);
        } else {
            session.end += 1;
            assert!(event["event"] == "end" && !event.contains_key("country"), "{event:?}");
        }
        assert!(session.player.is_empty() || session.player == player_id, "{session_id} has two players");
        player_id.clone_into(&mut session.player);
        lines += 1;
    }

    assert!(sessions.values().all(|session| session.start <= 1 && session.end <= 1));
    let complete: Vec<&Session> = sessions.values().filter(|session| session.start + session.end == 2).collect();
    let mut countries: HashMap<&str, u64> = HashMap::new();
    let mut players: HashMap<&str, (u64, HashSet<&str>)> = HashMap::new();
    for session in &complete {
        *countries.entry(&session.country).or_default() += 1;
        let player = players.entry(&session.player).or_default();
        player.0 += 1;
        player.1.insert(&session.country);
    }
    assert_eq!(lines, golden::EVENTS);
    assert_eq!(sessions.len(), golden::SESSIONS as usize);
    assert_eq!(complete.len(), golden::COMPLETE as usize);
    assert_eq!(sessions.values().filter(|session| session.start == 1).count(), golden::STARTS as usize);
    assert_eq!(sessions.values().filter(|session| session.end == 1).count(), golden::ENDS as usize);
    assert_eq!(countries.len() as u64, golden::COUNTRIES);
    assert_eq!(players.len(), golden::PLAYERS as usize);
    assert!(players.values().all(|(_, countries)| countries.len() == 1), "one country per player");
    assert_eq!(players.values().map(|(completed, _)| *completed).max(), Some(50));
    for (country, completed) in golden::TOP_TEN {
        assert_eq!(countries[country], completed.unsigned_abs(), "{country}");
    }
    assert_eq!(countries.values().min(), Some(&golden::FEWEST.1.unsigned_abs()));
    assert_eq!(dates.len(), golden::EVENT_DATES);
    assert!(dates.values().rev().skip(1).all(|&events| (31_500..35_000).contains(&events)), "about 33,000 a day: {dates:?}");

    assert_eq!(truth.lines, lines);
    let told: BTreeMap<String, u64> = truth.events_per_date.iter().map(|(date, events)| (date.to_string(), *events)).collect();
    assert_eq!(told, dates);
    let crossing = truth.crossing_midnight as f64 / truth.complete as f64;
    assert!((0.040..0.044).contains(&crossing), "one in 24 sessions crosses midnight: {crossing}");
    assert!((0.009..0.011).contains(&(whole_seconds as f64 / lines as f64)), "{whole_seconds} without a fraction");
    assert!((25.4..25.6).contains(&truth.completed_per_player.mean));
}

/// Another seed makes another file, with the same published figures.
#[test]
fn every_seed_meets_the_published_figures() {
    for seed in [1, 2, 3] {
        let dataset = generate(&Options { seed, ..Options::default() });
        golden::check(&dataset.checked_truth().unwrap()).unwrap();
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let options = Options { order: Order::Shuffled, duplicate_percent: 3.0, reject_percent: 2.0, ..Options::small(2_000, 5) };
    let bytes = generate(&options).to_bytes();
    assert_eq!(generate(&options).to_bytes(), bytes);
    assert_ne!(generate(&Options { seed: options.seed + 1, ..options.clone() }).to_bytes(), bytes);
    for compression in [Compression::Bz2, Compression::Gz, Compression::Zst, Compression::Zip] {
        let compressed = || archive::compress(&bytes, compression, "session_events.json");
        assert_eq!(compressed(), compressed(), "{compression:?}");
    }
}

/// Whatever is done to the lines, the events in them are the same.
#[test]
fn options_change_lines_and_never_events() {
    let plain = generate(&Options::small(3_000, 10));
    let worse =
        generate(&Options { duplicate_percent: 10.0, late_percent: 5.0, reject_percent: 4.0, ..Options::small(3_000, 10) });
    let shuffled = generate(&Options { order: Order::Shuffled, ..Options::small(3_000, 10) });
    let lines = |dataset: &Dataset| -> Vec<String> {
        let mut lines: Vec<String> = String::from_utf8(dataset.to_bytes()).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&shuffled), lines(&plain));
    assert_ne!(shuffled.to_bytes(), plain.to_bytes());
    let ids = |dataset: &Dataset| dataset.events().map(|event| (event.session_id, event.kind, event.ts())).collect::<Vec<_>>();
    assert_eq!(ids(&worse), ids(&plain));

    let (plain, worse) = (plain.checked_truth().unwrap(), worse.checked_truth().unwrap());
    assert_eq!((worse.duplicates, worse.late, worse.rejected()), (600, 300, 240));
    assert_eq!(worse.lines, plain.lines + 600 + 240);
    let nothing_added = Truth { lines: plain.lines, duplicates: 0, late: 0, rejects: BTreeMap::new(), ..worse };
    assert_eq!(nothing_added, plain);
}

/// A repeated line follows the first one and has the same values, every other time in another spelling.
#[test]
fn duplicates_are_equal_in_value_and_not_always_in_text() {
    let dataset = generate(&Options { duplicate_percent: 20.0, ..Options::small(1_000, 5) });
    let bytes = dataset.to_bytes();
    let mut first: HashMap<(String, String), (Value, &[u8])> = HashMap::new();
    let (mut same_text, mut other_text) = (0, 0);
    for line in bytes.strip_suffix(b"\n").unwrap().split(|&byte| byte == b'\n') {
        let event: Value = serde_json::from_slice(line).unwrap();
        let key = (text(&event, "session_id").to_owned(), text(&event, "event").to_owned());
        let Some((known, known_line)) = first.get(&key) else {
            first.insert(key, (event, line));
            continue;
        };
        assert_eq!(text(known, "country"), text(&event, "country"));
        assert_eq!(text(known, "player_id"), text(&event, "player_id"));
        assert_eq!(text(known, "ts"), text(&event, "ts").trim_end_matches(".000000"));
        if *known_line == line { same_text += 1 } else { other_text += 1 }
    }
    let truth = dataset.checked_truth().unwrap();
    assert_eq!(first.len() as u64, truth.events);
    assert_eq!((same_text, other_text), (truth.duplicates.div_ceil(2), truth.duplicates / 2));
}

#[test]
fn late_events_stand_days_after_their_time() {
    let dataset = generate(&Options { late_percent: 10.0, ..Options::small(2_000, 30) });
    let mut newest = String::new();
    let mut out_of_order = 0;
    for event in events(&dataset.to_bytes()) {
        let ts = text(&event, "ts");
        out_of_order += u64::from(ts < newest.as_str());
        newest = newest.max(ts.to_owned());
    }
    let late = dataset.checked_truth().unwrap().late;
    assert_eq!(late, 400);
    // Late events at the very end of the period may have nothing newer before them.
    assert!((late * 9 / 10..=late).contains(&out_of_order), "{out_of_order} of {late}");
}

/// Each bad line breaks the contract in the way that its kind says, and in no other file but its own.
#[test]
fn every_bad_line_is_bad() {
    for kind in RejectKind::ALL {
        let options = Options { rejects: BTreeMap::from([(kind, 12)]), oversized_bytes: 100_000, ..Options::small(100, 2) };
        let dataset = generate(&options);
        let truth = dataset.checked_truth().unwrap();
        assert_eq!(truth.rejects, BTreeMap::from([(kind, 12)]));
        let bytes = dataset.to_bytes();
        let good: HashSet<String> = dataset.events().map(|event| event.session_id.to_string()).collect();
        let lines = bytes.strip_suffix(b"\n").unwrap().split(|&byte| byte == b'\n');
        let bad: Vec<&[u8]> = lines.filter(|line| fault(line).is_some()).collect();
        assert_eq!(bad.len(), 12, "{kind:?}");
        for line in bad {
            assert_eq!(fault(line), Some(kind), "{}", String::from_utf8_lossy(&line[..line.len().min(300)]));
            let line = String::from_utf8_lossy(line);
            assert!(!good.iter().any(|session_id| line.contains(session_id)), "{line} has the session of an event");
        }
    }
}

/// What a reader of the contract finds wrong with a line.
fn fault(line: &[u8]) -> Option<RejectKind> {
    if line.len() >= 100_000 {
        return Some(RejectKind::Oversized);
    }
    if std::str::from_utf8(line).is_err() {
        return Some(RejectKind::InvalidUtf8);
    }
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(mistake) if mistake.is_eof() => return Some(RejectKind::TruncatedLine),
        Err(_) => return Some(RejectKind::MalformedJson),
    };
    let Some(fields) = value.as_object() else {
        return Some(RejectKind::WrongType);
    };
    let lacks = |field: &str| !fields.contains_key(field);
    let is_bare_start = text(&value, "event") == "start" && lacks("country");
    if is_bare_start || ["event", "player_id", "session_id", "ts"].into_iter().any(lacks) {
        return Some(RejectKind::MissingField);
    }
    if fields.values().any(|value| !value.is_string()) {
        return Some(RejectKind::WrongType);
    }
    if !["start", "end"].contains(&text(&value, "event")) {
        return Some(RejectKind::UnknownEvent);
    }
    if uuid::Uuid::try_parse(text(&value, "session_id")).is_err() {
        return Some(RejectKind::SessionIdNoUuid);
    }
    match text(&value, "ts").parse::<chrono::NaiveDateTime>() {
        Err(_) => Some(RejectKind::ImpossibleTime),
        Ok(ts) if ts > chrono::Utc::now().naive_utc() => Some(RejectKind::FutureTime),
        Ok(_) => None,
    }
}

#[test]
fn a_percentage_of_bad_lines_has_all_kinds_but_oversized_ones() {
    let truth = generate(&Options { reject_percent: 1.8, ..Options::small(5_000, 3) }).checked_truth().unwrap();
    assert_eq!(truth.rejected(), 180);
    assert!(truth.rejects.iter().all(|(kind, lines)| *lines == 20 && *kind != RejectKind::Oversized), "{:?}", truth.rejects);
    assert_eq!(truth.rejects.len(), RejectKind::OF_USUAL_LENGTH.len());
}

/// The truth about the first lines is about those lines; the truth about some dates is about those dates.
#[test]
fn the_truth_of_a_part_is_counted_from_the_part() {
    let dataset = generate(&Options { lines: Some(40_000), ..Options::default() });
    let truth = dataset.checked_truth().unwrap();
    let found = events(&dataset.to_bytes());
    let starts = found.iter().filter(|event| text(event, "event") == "start").count() as u64;
    let sessions: HashSet<&str> = found.iter().map(|event| text(event, "session_id")).collect();
    assert_eq!((truth.lines, truth.events, truth.starts), (40_000, 40_000, starts));
    assert_eq!(truth.sessions, sessions.len() as u64);
    assert!(truth.starts_without_end > 500, "sessions were still going on: {}", truth.starts_without_end);

    let small = generate(&Options::small(3_000, 10));
    let dates: Vec<_> = small.truth().events_per_date.into_keys().skip(3).take(3).collect();
    let slice = small.truth_of(|event| dates.contains(&event.date()));
    assert_eq!(slice.events_per_date.keys().copied().collect::<Vec<_>>(), dates);
    let taken = small.events().filter(|event| dates.contains(&event.date())).count() as u64;
    assert_eq!((slice.events, slice.lines), (taken, taken));
    assert!(slice.ends_without_start > 3, "sessions from the evening before lost their start: {slice:?}");
}

#[test]
fn a_small_file_keeps_its_own_counts() {
    for (sessions, days) in [(6, 1), (50, 1), (1_000, 30), (20_000, 7)] {
        let truth = generate(&Options::small(sessions, days)).checked_truth().unwrap();
        assert_eq!((truth.sessions, truth.complete), (u64::from(sessions), u64::from(sessions) - 5));
        assert!(truth.completed_per_player.min >= 1 && truth.completed_per_player.max <= 50);
        assert!(truth.events_per_date.len() <= days as usize + 1);
    }
}

#[test]
fn options_that_contradict_themselves_are_refused() {
    let refused = |options: Options| Dataset::generate(&options).err();
    assert_eq!(refused(Options::small(5, 1)), Some(OptionsError::NoCompleteSession { sessions: 5, orphans: 5 }));
    assert_eq!(refused(Options::small(10, 0)), Some(OptionsError::Days { days: 0 }));
    let late = Options { late_percent: 1.0, order: Order::Shuffled, ..Options::small(10, 1) };
    assert_eq!(refused(late), Some(OptionsError::LateAndShuffled));
    let percent = Options { duplicate_percent: 101.0, ..Options::small(10, 1) };
    assert_eq!(refused(percent), Some(OptionsError::Percent { what: "duplicates", percent: 101.0 }));
}

/// The check would find a file whose events are not those of the original.
#[test]
fn the_check_finds_a_wrong_figure() {
    let mut truth = generate(&Options::small(1_000, 30)).truth();
    let small: CheckError = golden::check(&truth).unwrap_err().into();
    assert_eq!(small.to_string(), "the generated file differs from the published figures");
    truth.events = golden::EVENTS;
    assert_eq!(golden::check(&truth).unwrap_err().to_string(), "sessions is 1000, not 500587");
}

/// The program writes each kind of file, and its summary (on stdout and in a file) is true of what it wrote.
#[test]
fn the_program_writes_what_its_summary_says() {
    let folder = tempfile::tempdir().unwrap();
    let plain = generate(&Options { late_percent: 2.0, ..Options::small(500, 4) }).to_bytes();
    for name in ["a.json.bz2", "a.json.gz", "a.json.zst", "session_events.zip", "a.json"] {
        let path = folder.path().join(name);
        let summary = folder.path().join(format!("{name}.summary"));
        let output = Command::new(env!("CARGO_BIN_EXE_session-events-file"))
            .args(["--sessions", "500", "--days", "4", "--late", "2", "--out"])
            .arg(&path)
            .arg("--summary")
            .arg(&summary)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(std::fs::read(&summary).unwrap(), output.stdout);
        assert_eq!(unpack(&path), plain, "{name}");

        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let file = std::fs::read(&path).unwrap();
        assert_eq!(told["file"]["bytes"], file.len());
        assert_eq!(told["file"]["uncompressed_bytes"], plain.len());
        assert_eq!(told["file"]["sha256"], tests::digest::sha256(&file));
        assert_eq!(told["file"]["name"], name);
        let truth: Truth = serde_json::from_value(told["truth"].clone()).unwrap();
        assert_eq!((truth.sessions, truth.late), (500, 20));
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 10, "no .part is left behind");
}

#[test]
fn the_program_refuses_nonsense() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-events-file"));
        let output = command.arg("--out").arg(folder.path().join("a.json")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run(&["--bad-kind", "rotten=1"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("\"rotten\" is none of malformed-json, wrong-type"), "{text}");
    let (code, text) = run(&["--sessions", "4"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("which leaves no complete one"), "{text}");
    assert!(!folder.path().join("a.json").exists());
    let (code, text) = run(&["--sessions", "10", "--summary", "/nowhere/at/all"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("No such file or directory"), "{text}");
}

fn unpack(path: &Path) -> Vec<u8> {
    let file = std::fs::read(path).unwrap();
    let mut lines = Vec::new();
    match Compression::of_path(path) {
        Compression::Bz2 => bzip2::read::BzDecoder::new(Cursor::new(file)).read_to_end(&mut lines).unwrap(),
        Compression::Gz => flate2::read::GzDecoder::new(Cursor::new(file)).read_to_end(&mut lines).unwrap(),
        Compression::Zst => zstd::stream::read::Decoder::new(Cursor::new(file)).unwrap().read_to_end(&mut lines).unwrap(),
        Compression::Zip => {
            let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
            assert_eq!(archive.by_index(0).unwrap().name().unwrap(), "session_events.json");
            archive.by_index(0).unwrap().read_to_end(&mut lines).unwrap()
        }
        Compression::None => return file,
    };
    lines
}
