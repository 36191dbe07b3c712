//! The file of keys, as `sluice keys` changes it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use chrono::Utc;
use secrecy::ExposeSecret as _;

use super::kit::{Folder, new_key};
use crate::keys::{self, Change, Error, Keys};

#[test]
fn many_who_make_keys_at_once_lose_none() {
    let folder = Folder::new();
    let file = folder.keys();
    let made: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| (0..5).map(|_| folder.make(new_key())).collect::<Vec<_>>())).collect();
        makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect()
    });
    let keys = Keys::open(&file, None).unwrap();
    for (id, key) in &made {
        assert_eq!(*keys.verify(key, Utc::now()).unwrap().key_id, **id);
    }
    assert_eq!(keys::list(&file).unwrap().len(), 40);
}

#[test]
fn the_file_is_its_owners_and_holds_no_key() {
    let folder = Folder::new();
    let key = folder.key();
    let text = std::fs::read_to_string(folder.keys()).unwrap();
    assert!(!text.contains(&key[key.len() - 43..]));
    assert_eq!(std::fs::metadata(folder.keys()).unwrap().permissions().mode() & 0o777, 0o600);
    let shown = format!("{:?}", Keys::open(&folder.keys(), None).unwrap());
    let secret: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(!shown.contains(secret["cursor_secret"].as_str().unwrap()), "{shown}");
}

#[test]
fn a_rotation_gives_the_old_key_its_grace_and_no_more() {
    let folder = Folder::new();
    let (id, first) = folder.make(new_key());
    let now = Utc::now();
    let hour = Duration::from_hours(1);
    let second = keys::rotate(&folder.keys(), &id, hour, now).unwrap().key;
    let keys = Keys::open(&folder.keys(), None).unwrap();
    let after = |seconds| now + chrono::Duration::seconds(seconds);
    assert!(keys.verify(&first, after(3_599)).is_ok());
    assert!(keys.verify(&first, after(3_601)).is_err());
    assert!(keys.verify(second.expose_secret(), after(3_601)).is_ok());
    // Another rotation does not lengthen the grace of the first.
    keys::rotate(&folder.keys(), &id, 24 * hour, now).unwrap();
    assert!(Keys::open(&folder.keys(), None).unwrap().verify(&first, after(3_601)).is_err());
}

#[test]
fn what_was_revoked_stays_revoked_and_what_is_not_there_is_named() {
    let folder = Folder::new();
    let (id, _) = folder.make(new_key());
    assert_eq!(keys::revoke(&folder.keys(), &id, Utc::now()).unwrap().1, Change::Done);
    assert_eq!(keys::revoke(&folder.keys(), &id, Utc::now()).unwrap().1, Change::None);
    assert!(matches!(keys::rotate(&folder.keys(), &id, Duration::ZERO, Utc::now()), Err(Error::Revoked { .. })));
    let missing = keys::revoke(&folder.keys(), "nobody", Utc::now());
    assert!(matches!(missing, Err(Error::NoKey { known, .. }) if known == [id]));
}

#[test]
fn a_file_that_is_not_understood_is_left_as_it_is() {
    let folder = Folder::new();
    folder.key();
    for text in [r#"{"format": 2, "keys": "elsewhere"}"#, "{}", "not JSON"] {
        std::fs::write(folder.keys(), text).unwrap();
        assert!(keys::make(&folder.keys(), new_key(), Utc::now()).is_err());
        assert!(Keys::open(&folder.keys(), None).is_err());
        assert_eq!(std::fs::read_to_string(folder.keys()).unwrap(), text);
    }
}
