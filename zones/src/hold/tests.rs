use super::*;

fn terms(command: &str, silence: Duration) -> Terms {
    Terms { silence, ..Terms::new(command) }
}

const SHORT: Duration = Duration::from_millis(400);

/// The signs of life of a hold end, and its lock stays: what a stopped process looks like.
fn stop_beating(hold: &mut Hold) {
    drop(hold.stop.take());
    hold.beat.take().unwrap().join().unwrap();
}

#[test]
fn one_holds_and_the_other_is_told_who_until_it_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let guard = Guard::default();
    let hold = take(folder.path(), &terms("sluice run orders", SHORT), &guard).unwrap();
    let error = take(folder.path(), &Terms::new("other"), &Guard::default()).unwrap_err().to_string();
    let process = format!("sluice run orders (process {} on ", std::process::id());
    assert!(error.contains(&process), "{error}");
    // Alive for longer than one sign of life counts.
    let touched = || hold.held.file.metadata().unwrap().modified().unwrap();
    let (first, deadline) = (touched(), std::time::Instant::now() + Duration::from_secs(30));
    while touched() < first + SHORT {
        assert!(std::time::Instant::now() < deadline, "no sign of life");
        std::thread::yield_now();
    }
    take(folder.path(), &Terms::new("other"), &Guard::default()).unwrap_err();
    guard.confirm().unwrap();
    drop(hold);
    let next = take(folder.path(), &Terms::new("other"), &Guard::default()).unwrap();
    assert_eq!((next.held.epoch, next.replaced()), (2, None));
}

#[test]
fn a_holder_without_a_sign_of_life_is_followed_and_knows_it_when_it_wakes() {
    let folder = tempfile::tempdir().unwrap();
    let guard = Guard::default();
    let mut stopped = take(folder.path(), &terms("stopped", SHORT), &guard).unwrap();
    stop_beating(&mut stopped);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let next = loop {
        match take(folder.path(), &terms("next", SHORT), &Guard::default()) {
            Ok(next) => break next,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(next.replaced().unwrap().command, "stopped");
    let error = guard.confirm().unwrap_err();
    assert!(matches!(&error, Error::TakenOver { holder, .. } if holder.starts_with("next (process")), "{error}");
    // Also once the other has ended, and when the old one lets go of what it no longer has.
    drop(next);
    guard.confirm().unwrap_err();
    drop(stopped);
    assert_eq!(take(folder.path(), &Terms::new("third"), &Guard::default()).unwrap().held.epoch, 3);
}

/// A clock that jumps makes a living holder look old; it is given the time for a sign.
#[test]
fn a_clock_that_jumps_kills_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let hold = take(folder.path(), &terms("alive", SHORT * 10), &Guard::default()).unwrap();
    for jump in [SystemTime::now() - Duration::from_hours(5), SystemTime::now() + Duration::from_hours(5)] {
        hold.held.file.set_modified(jump).unwrap();
        let error = take(folder.path(), &Terms::new("other"), &Guard::default()).unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "{error}");
    }
}

/// The folder of what can be derived again may be removed at any time: a hold in it is gone then, also where the next one has
/// its number.
#[test]
fn a_hold_whose_folder_was_removed_is_no_hold() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("hold");
    let guard = Guard::default();
    let _first = take(&folder, &Terms::new("first"), &guard).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    guard.confirm().unwrap_err();
    let second = take(&folder, &Terms::new("second"), &Guard::default()).unwrap();
    assert_eq!(second.held.epoch, 1);
    guard.confirm().unwrap_err();
}

#[test]
fn of_many_that_ask_at_once_one_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    // Somebody who died.
    drop(take(folder.path(), &Terms::new("dead"), &Guard::default()).unwrap());
    for _ in 0..20 {
        let holds: Vec<Hold> = std::thread::scope(|scope| {
            let asking: Vec<_> =
                (0..8).map(|_| scope.spawn(|| take(folder.path(), &Terms::new("one of many"), &Guard::default()))).collect();
            asking.into_iter().filter_map(|asked| asked.join().unwrap().ok()).collect()
        });
        assert_eq!(holds.len(), 1);
    }
}
