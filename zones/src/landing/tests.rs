use chrono::DateTime;
use model::{Classify, Failure};
use tempfile::TempDir;

use super::*;

struct Lake {
    folder: TempDir,
    zone: LandingZone,
}

impl Lake {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let zone = LandingZone::new(folder.path(), "session_events", "events");
        Self { folder, zone }
    }

    fn land(&self, bytes: &[u8]) -> Receipt {
        let lock = self.zone.lock().unwrap();
        self.zone.clean(&lock).unwrap();
        let mut part = self.zone.incoming("events.json").begin(PartNote::default()).unwrap();
        part.write(bytes).unwrap();
        self.zone.land(&lock, part.finish().unwrap(), about("events.json")).unwrap()
    }

    fn folder_of(&self, sequence: u64) -> PathBuf {
        self.folder.path().join(format!("landing/session_events/events/{sequence:06}"))
    }
}

fn about(file_name: &str) -> About {
    About {
        url: "http://source/events.json".to_owned(),
        file_name: file_name.to_owned(),
        validators: Validators::default(),
        received_at: DateTime::UNIX_EPOCH,
    }
}

#[test]
fn landed_files_are_numbered_in_the_order_of_arrival_and_keep_their_bytes() {
    let lake = Lake::new();
    assert_eq!(lake.zone.newest().unwrap(), None);
    let receipts: Vec<_> = [b"A".as_slice(), b"BB", b"A"].into_iter().map(|bytes| lake.land(bytes)).collect();

    assert_eq!(receipts.iter().map(|receipt| receipt.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(lake.zone.receipts().unwrap(), receipts);
    assert_eq!(lake.zone.newest().unwrap().as_ref(), receipts.last());
    assert_eq!(receipts[0].sha256, "559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd");
    assert_eq!(receipts[1].size, 2);
    let file = lake.zone.file(&receipts[1]);
    assert_eq!(file, lake.folder_of(2).join("events.json"));
    assert_eq!(std::fs::read(file).unwrap(), b"BB");
    assert_eq!(lake.zone.plan_folder(&receipts[1], "raw_events"), lake.folder_of(2).join("load/raw_events"));
}

#[test]
fn a_folder_without_a_receipt_is_not_landed_and_the_next_run_removes_it() {
    let lake = Lake::new();
    lake.land(b"A");
    std::fs::create_dir(lake.folder_of(2)).unwrap();
    std::fs::write(lake.folder_of(2).join("events.json"), b"half").unwrap();

    assert_eq!(lake.zone.receipts().unwrap().len(), 1);
    assert_eq!(lake.zone.newest().unwrap().unwrap().sequence, 1);
    let lock = lake.zone.lock().unwrap();
    assert_eq!(lake.zone.clean(&lock).unwrap(), 1);
    assert!(!lake.folder_of(2).exists() && lake.folder_of(1).exists());
    drop(lock);
    assert_eq!(lake.land(b"B").sequence, 2);
}

#[test]
fn a_number_never_comes_to_mean_other_bytes() {
    let lake = Lake::new();
    lake.land(b"A");
    lake.land(b"B");
    std::fs::remove_dir_all(lake.folder_of(2)).unwrap();

    let latest = lake.zone.latest().unwrap().unwrap();
    assert_eq!((latest.sequence, latest.is_landed), (2, false), "the loss is known");
    assert_eq!(lake.land(b"B").sequence, 2, "the same bytes again take their place");
    std::fs::remove_dir_all(lake.folder_of(2)).unwrap();
    assert_eq!(lake.land(b"C").sequence, 3, "other bytes do not");
}

#[test]
fn what_is_known_of_the_newest_content_follows_from_its_receipt() {
    let lake = Lake::new();
    let receipt = lake.land(b"A");
    let noted = Validators { etag: Some("\"2\"".to_owned()), ..Validators::default() };
    let lock = lake.zone.lock().unwrap();
    let latest = lake.zone.latest().unwrap().unwrap();
    lake.zone.note_validators(&lock, &latest, noted.clone()).unwrap();
    assert_eq!(lake.zone.latest().unwrap().unwrap().validators, noted, "newer validators of the same bytes are used");
    drop(lock);

    std::fs::write(lake.folder_of(1).parent().unwrap().join("latest.json"), b"{").unwrap();
    let latest = lake.zone.latest().unwrap().unwrap();
    assert_eq!((latest.sequence, latest.sha256, latest.is_landed), (1, receipt.sha256, true));
    assert_eq!(latest.validators, receipt.validators, "a damaged note is no obstacle");
}

#[test]
fn damage_to_a_landed_file_is_named_with_the_way_back() {
    let lake = Lake::new();
    let receipt = lake.land(b"twelve bytes");
    let file = lake.zone.file(&receipt);
    lake.zone.verify(&receipt).unwrap();
    lake.zone.verify_content(&receipt).unwrap();

    std::fs::write(&file, b"twelve bites").unwrap();
    lake.zone.verify(&receipt).unwrap();
    let error = lake.zone.verify_content(&receipt).unwrap_err();
    assert!(matches!(error, Error::WrongContent { .. }), "{error}");
    assert!(error.to_string().contains(&receipt.sha256), "{error}");

    std::fs::write(&file, b"twelve").unwrap();
    let error = lake.zone.verify(&receipt).unwrap_err();
    assert!(error.to_string().contains("6 bytes instead of 12"), "{error}");

    std::fs::remove_file(&file).unwrap();
    let error = lake.zone.verify(&receipt).unwrap_err();
    assert!(matches!(error, Error::Lost { sequence: 1, .. }), "{error}");
    assert_eq!(error.failure(), Failure::Definition);
    assert!(error.hint().unwrap().contains(&format!("delete the folder {}", lake.folder_of(1).display())));
}

#[test]
fn a_receipt_in_the_wrong_place_is_refused() {
    let lake = Lake::new();
    lake.land(b"A");
    std::fs::rename(lake.folder_of(1), lake.folder_of(7)).unwrap();
    assert!(matches!(lake.zone.receipts(), Err(Error::MisplacedReceipt { sequence: 1, .. })));
    std::fs::write(lake.folder_of(7).join("receipt.json"), b"{}").unwrap();
    assert!(matches!(lake.zone.newest(), Err(Error::BadReceipt { .. })));
}

#[test]
fn one_process_at_a_time_lands_files_of_a_source() {
    let lake = Lake::new();
    let lock = lake.zone.lock().unwrap();
    let error = lake.zone.lock().unwrap_err();
    assert_eq!(error.failure(), Failure::Transient);
    LandingZone::new(lake.folder.path(), "session_events", "others").lock().unwrap();
    drop(lock);
    lake.zone.lock().unwrap();
}

#[test]
fn a_download_that_stopped_goes_on_where_it_was_and_hashes_all_of_it() {
    let lake = Lake::new();
    let incoming = lake.zone.incoming("events.json");
    assert!(incoming.note().unwrap().is_none());
    let note = PartNote::new(Validators::default(), "events.json".to_owned(), Some(11));
    let mut part = incoming.begin(note).unwrap();
    part.write(b"hello ").unwrap();
    drop(part);

    let note = incoming.note().unwrap().unwrap();
    let mut part = incoming.resume(note).unwrap();
    assert_eq!(part.length(), 6, "the machine has not been started anew: the kernel still has the bytes");
    part.write(b"world").unwrap();
    let received = part.finish().unwrap();
    assert_eq!(
        (received.size, received.sha256.as_str()),
        (11, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9")
    );
}

#[test]
fn after_a_new_start_of_the_machine_only_synced_bytes_count() {
    let lake = Lake::new();
    let incoming = lake.zone.incoming("events.json");
    let mut part = incoming.begin(PartNote::new(Validators::default(), "events.json".to_owned(), None)).unwrap();
    part.write(b"on disk").unwrap();
    part.keep().unwrap();
    part.write(b" perhaps").unwrap();
    drop(part);

    let path = lake.folder.path().join("landing/session_events/events/incoming/events.json.part.json");
    let mut note: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    note["boot"] = "another".into();
    std::fs::write(&path, note.to_string()).unwrap();
    let part = incoming.resume(incoming.note().unwrap().unwrap()).unwrap();
    assert_eq!(part.length(), 7);

    std::fs::write(&path, b"not a note").unwrap();
    assert!(incoming.note().unwrap().is_none(), "without its note a part is worth nothing");
}

#[test]
fn the_last_byte_of_a_whole_part_is_asked_for_again() {
    let lake = Lake::new();
    let incoming = lake.zone.incoming("events.json");
    let mut part = incoming.begin(PartNote::new(Validators::default(), "events.json".to_owned(), Some(5))).unwrap();
    part.write(b"whole").unwrap();
    drop(part);
    assert_eq!(incoming.resume(incoming.note().unwrap().unwrap()).unwrap().length(), 4);
}

#[test]
fn a_full_disk_is_for_a_person_to_free_and_names_the_place() {
    let path = Path::new("/lake/landing/p/s/incoming/events.json.part");
    let error = Error::io("write", path)(std::io::ErrorKind::StorageFull.into());
    assert_eq!(
        (error.failure(), error.to_string().as_str()),
        (Failure::Definition, "write /lake/landing/p/s/incoming/events.json.part")
    );
    assert!(error.hint().unwrap().starts_with("free space"));
}
