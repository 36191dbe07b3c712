//! Who registered for what, who clicked on what, who handed in what.

use std::collections::BTreeSet;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::options::{FIRST_DAY, Options};
use super::presentations::{self, Presentation};
use super::stream;
use super::tables::{Assessment, Interaction, Item, Registration, Student, Submission, Tables};

/// The commonest first, as they are drawn.
const ACTIVITY_TYPES: [&str; 20] = [
    "resource",
    "subpage",
    "oucontent",
    "url",
    "forumng",
    "quiz",
    "page",
    "oucollaborate",
    "questionnaire",
    "ouwiki",
    "dataplus",
    "externalquiz",
    "homepage",
    "glossary",
    "ouelluminate",
    "dualpane",
    "repeatactivity",
    "htmlactivity",
    "sharedsubpage",
    "folder",
];
const REGIONS: [&str; 13] = [
    "Scotland",
    "East Anglian Region",
    "London Region",
    "South Region",
    "North Western Region",
    "West Midlands Region",
    "South West Region",
    "East Midlands Region",
    "South East Region",
    "Wales",
    "Yorkshire Region",
    "North Region",
    "Ireland",
];
const EDUCATION: [&str; 5] =
    ["A Level or Equivalent", "Lower Than A Level", "HE Qualification", "No Formal quals", "Post Graduate Qualification"];
/// The second lacks its percent sign, in the real archive too.
const IMD_BANDS: [&str; 10] = ["0-10%", "10-20", "20-30%", "30-40%", "40-50%", "50-60%", "60-70%", "70-80%", "80-90%", "90-100%"];
const AGE_BANDS: [&str; 3] = ["0-35", "35-55", "55<="];
const RESULTS: [&str; 3] = ["Pass", "Fail", "Distinction"];
const WEIGHTS: [i16; 4] = [100, 125, 175, 200];

const ITEMS_OF_A_PRESENTATION: i32 = 14;

pub(super) fn tables(options: &Options) -> Tables {
    let courses = presentations::ALL[..options.presentations].to_vec();
    let items = items(&courses, &mut stream(options.seed, "items"));
    let assessments = assessments(&courses, &mut stream(options.seed, "assess"));
    let (students, registrations) = students(options, &courses, &mut stream(options.seed, "students"));
    let submissions = submissions(&registrations, &assessments, &mut stream(options.seed, "submit"));
    let interactions = interactions(options, &registrations, &items, &mut stream(options.seed, "clicks"));
    Tables { courses, items, assessments, students, registrations, submissions, interactions }
}

fn items(courses: &[Presentation], rng: &mut ChaCha8Rng) -> Vec<Item> {
    let mut id = 526_720;
    let mut items = Vec::new();
    for presentation in courses {
        for _ in 0..ITEMS_OF_A_PRESENTATION {
            id += rng.random_range(1..300);
            // Of two draws the smaller: resources are common, folders are rare.
            let kind = rng.random_range(0..ACTIVITY_TYPES.len()).min(rng.random_range(0..ACTIVITY_TYPES.len()));
            let weeks = rng.random_ratio(1, 5).then(|| {
                let from = rng.random_range(0..28);
                (from, from + rng.random_range(0..3))
            });
            items.push(Item { id, presentation: *presentation, activity_type: ACTIVITY_TYPES[kind], weeks });
        }
    }
    items
}

fn assessments(courses: &[Presentation], rng: &mut ChaCha8Rng) -> Vec<Assessment> {
    let mut id = 1_751;
    let mut assessments = Vec::new();
    for (index, presentation) in courses.iter().enumerate() {
        for (number, kind) in (0..).zip(["TMA", "TMA", "CMA", "TMA"]) {
            id += rng.random_range(1..9);
            let date = Some(12 + 50 * number + rng.random_range(0..20));
            let weight_tenths = if kind == "CMA" { 0 } else { *WEIGHTS.choose(rng).expect("there are weights") };
            assessments.push(Assessment { id, presentation: *presentation, kind, date, weight_tenths });
        }
        id += 1;
        // Every other exam has no day.
        let date = (index % 2 == 0).then_some(presentation.length.cast_signed() - 7);
        assessments.push(Assessment { id, presentation: *presentation, kind: "Exam", date, weight_tenths: 1_000 });
    }
    assessments
}

fn students(options: &Options, courses: &[Presentation], rng: &mut ChaCha8Rng) -> (Vec<Student>, Vec<Registration>) {
    let mut known = BTreeSet::new();
    let mut students = Vec::new();
    let mut registrations = Vec::new();
    for number in 0..options.students {
        let id = loop {
            let id = rng.random_range(3_733..2_716_796);
            if known.insert(id) {
                break id;
            }
        };
        let times = if rng.random_ratio(1, 4) { rng.random_range(2..=courses.len().min(3)) } else { 1 };
        // Each presentation gets students, however few there are.
        let first = number as usize % courses.len();
        for time in 0..times {
            let presentation = courses[(first + time) % courses.len()];
            let left = rng.random_ratio(3, 10);
            let registered = rng.random_range(-160_i16..0);
            registrations.push(Registration {
                student: id,
                presentation,
                registered: (!rng.random_ratio(1, 25)).then_some(registered),
                unregistered: left.then(|| rng.random_range(registered..presentation.length.cast_signed())),
            });
            students.push(Student {
                id,
                presentation,
                gender: if rng.random_bool(0.5) { "M" } else { "F" },
                region: REGIONS.choose(rng).expect("there are regions"),
                highest_education: EDUCATION.choose(rng).expect("there are levels"),
                imd_band: (!rng.random_ratio(1, 12)).then(|| *IMD_BANDS.choose(rng).expect("there are bands")),
                age_band: AGE_BANDS.choose(rng).expect("there are bands"),
                previous_attempts: if rng.random_ratio(1, 8) { rng.random_range(1..7) } else { 0 },
                studied_credits: 30 * rng.random_range(1..9),
                disability: if rng.random_ratio(1, 10) { "Y" } else { "N" },
                final_result: if left { "Withdrawn" } else { RESULTS.choose(rng).expect("there are results") },
            });
        }
    }
    students.sort_by_key(|student| (student.presentation, student.id));
    registrations.sort_by_key(|registration| (registration.presentation, registration.student));
    (students, registrations)
}

fn submissions(registrations: &[Registration], assessments: &[Assessment], rng: &mut ChaCha8Rng) -> Vec<Submission> {
    let mut submissions = Vec::new();
    for registration in registrations {
        for assessment in assessments.iter().filter(|assessment| assessment.presentation == registration.presentation) {
            let due = assessment.date.unwrap_or(250);
            let was_there = registration.unregistered.is_none_or(|day| day > due);
            // Exams are not handed in; few of their results are in the real archive.
            if !was_there || rng.random_ratio(1, 6) || assessment.kind == "Exam" && !rng.random_ratio(1, 4) {
                continue;
            }
            let banked = rng.random_ratio(1, 30);
            submissions.push(Submission {
                assessment: assessment.id,
                student: registration.student,
                date: if banked { -1 } else { due + rng.random_range(-9..6) },
                banked,
                score: (!rng.random_ratio(1, 30)).then(|| rng.random_range(0..=100)),
            });
        }
    }
    submissions.sort_by_key(|submission| (submission.assessment, submission.student));
    submissions
}

fn interactions(options: &Options, registrations: &[Registration], items: &[Item], rng: &mut ChaCha8Rng) -> Vec<Interaction> {
    let mut interactions = Vec::new();
    for registration in registrations {
        // Some are registered and never come.
        if rng.random_ratio(1, 6) {
            continue;
        }
        let presentation = registration.presentation;
        let sites: Vec<i32> = items.iter().filter(|item| item.presentation == presentation).map(|item| item.id).collect();
        // The last two sites are there and nobody uses them.
        let used = &sites[..sites.len() - 2];
        for day in FIRST_DAY..FIRST_DAY + options.days.cast_signed() {
            if registration.unregistered.is_some_and(|left| day >= left) || !rng.random_ratio(1, 4) {
                continue;
            }
            for _ in 0..rng.random_range(1..6) {
                // Of two draws the smaller: the first sites are the most used ones.
                let site = used[rng.random_range(0..used.len()).min(rng.random_range(0..used.len()))];
                let clicks = if rng.random_ratio(1, 20) { rng.random_range(10..400) } else { rng.random_range(1..10) };
                let interaction = Interaction { presentation, student: registration.student, site, date: day, clicks };
                interactions.push(interaction);
                // The same again, in every column: no key can tell the two apart.
                if rng.random_ratio(1, 6) {
                    interactions.push(interaction);
                }
            }
        }
    }
    interactions
}
