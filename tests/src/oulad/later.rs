//! The next delivery of an archive. It differs from the one before in each of these ways:
//!
//! - corrected: a student left after all, another came back, a score was changed, a missing one was added, clicks were
//!   counted again;
//! - gone: a student with all that is known of them, an item (what was clicked on it stays), a submission, all interactions
//!   of an item, all interactions of a presentation's first day;
//! - new: interactions on the days after the last, with an item that was hardly used so far at the top.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::tables::{Interaction, Tables};

pub(super) fn delivery(before: &Tables, rng: &mut ChaCha8Rng) -> Tables {
    let mut tables = before.clone();
    correct(&mut tables);
    remove(&mut tables);
    add(&mut tables, before, rng);
    tables
}

fn correct(tables: &mut Tables) {
    if let Some(leaver) = tables.registrations.iter_mut().rev().find(|registration| registration.unregistered.is_none()) {
        leaver.unregistered = Some(3);
        let (student, presentation) = (leaver.student, leaver.presentation);
        for info in tables.students.iter_mut().filter(|info| info.id == student && info.presentation == presentation) {
            info.final_result = "Withdrawn";
        }
    }
    if let Some(comeback) = tables.registrations.iter_mut().find(|registration| registration.unregistered.is_some()) {
        comeback.unregistered = None;
        let (student, presentation) = (comeback.student, comeback.presentation);
        for info in tables.students.iter_mut().filter(|info| info.id == student && info.presentation == presentation) {
            info.final_result = "Pass";
        }
    }
    if let Some(submission) = tables.submissions.iter_mut().find(|submission| submission.score.is_some_and(|score| score < 90)) {
        submission.score = submission.score.map(|score| score + 7);
    }
    if let Some(submission) = tables.submissions.iter_mut().find(|submission| submission.score.is_none()) {
        submission.score = Some(64);
    }
    for interaction in tables.interactions.iter_mut().step_by(97) {
        interaction.clicks += 5;
    }
}

fn remove(tables: &mut Tables) {
    // The student of the middle, so that the others on both sides stay as they are.
    let gone = tables.registrations[tables.registrations.len() / 2].student;
    tables.students.retain(|student| student.id != gone);
    tables.registrations.retain(|registration| registration.student != gone);
    tables.submissions.retain(|submission| submission.student != gone);
    tables.interactions.retain(|interaction| interaction.student != gone);

    tables.items.remove(0);
    tables.submissions.remove(tables.submissions.len() / 3);

    if let Some(unused_from_now_on) = tables.interactions.last().map(|interaction| interaction.site) {
        tables.interactions.retain(|interaction| interaction.site != unused_from_now_on);
    }
    if let Some(first) = tables.interactions.first().copied() {
        let of_presentation = tables.interactions.iter().filter(|other| other.presentation == first.presentation);
        let first_day = of_presentation.map(|interaction| interaction.date).min();
        tables.interactions.retain(|other| other.presentation != first.presentation || Some(other.date) != first_day);
    }
}

fn add(tables: &mut Tables, before: &Tables, rng: &mut ChaCha8Rng) {
    for presentation in &before.courses {
        let last_day = before.interactions.iter().filter(|row| row.presentation == *presentation).map(|row| row.date).max();
        let least_used = before.items.iter().filter(|item| item.presentation == *presentation).min_by_key(|item| {
            let clicks: i32 = tables.interactions.iter().filter(|row| row.site == item.id).map(|row| row.clicks).sum();
            // Those that nobody uses stay so.
            (clicks == 0, clicks)
        });
        let (Some(last_day), Some(item)) = (last_day, least_used) else { continue };
        let students: Vec<i32> = tables
            .registrations
            .iter()
            .filter(|registration| registration.presentation == *presentation && registration.unregistered.is_none())
            .map(|registration| registration.student)
            .take(6)
            .collect();
        for student in students {
            for day in 1..4 {
                let clicks = rng.random_range(2_000..3_000);
                let date = last_day + day;
                tables.interactions.push(Interaction { presentation: *presentation, student, site: item.id, date, clicks });
            }
        }
    }
}
