use chrono::DateTime;
use model::receipt::location_of;
use model::{Classify, Failure};
use tempfile::TempDir;

use super::*;

const URL: &str = "http://source/events.json";

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
        self.land_at(URL, bytes)
    }

    fn land_at(&self, url: &str, bytes: &[u8]) -> Receipt {
        let lock = self.zone.lock().unwrap();
        self.zone.clean(&lock).unwrap();
        let mut latests = self.zone.latests().unwrap();
        let location = location_of(url, None);
        let mut part = self.zone.incoming(&location, "events.json").begin(PartNote::default()).unwrap();
        part.write(bytes).unwrap();
        let about = About {
            url: url.to_owned(),
            location,
            file_name: "events.json".to_owned(),
            validators: Validators::default(),
            received_at: DateTime::UNIX_EPOCH,
        };
        self.zone.land(&lock, &mut latests, part.finish().unwrap(), about).unwrap()
    }

    fn latest(&self) -> Latest {
        self.zone.latests().unwrap().of(&location_of(URL, None)).unwrap().unwrap()
    }

    fn source_folder(&self) -> PathBuf {
        self.folder.path().join("landing/session_events/events")
    }

    fn folder_of(&self, sequence: u64) -> PathBuf {
        self.folder.path().join(format!("landing/session_events/events/{sequence:06}"))
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

    let latest = lake.latest();
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
    let latest = lake.latest();
    lake.zone.note_validators(&lock, &lake.zone.latests().unwrap(), &latest, noted.clone()).unwrap();
    assert_eq!(lake.latest().validators, noted, "newer validators of the same bytes are used");
    drop(lock);

    std::fs::write(lake.source_folder().join("latest.json"), b"{").unwrap();
    std::fs::write(lake.source_folder().join(format!("latest/{}.json", latest.location)), b"{").unwrap();
    let latest = lake.latest();
    assert_eq!((latest.sequence, latest.sha256, latest.is_landed), (1, receipt.sha256, true));
    assert_eq!(latest.validators, receipt.validators, "a damaged note is no obstacle");
}

#[test]
fn locations_share_a_sequence_and_each_has_its_own_newest_content() {
    let lake = Lake::new();
    let other = "http://source/other.json";
    for (url, bytes) in [(URL, b"A"), (other, b"B"), (URL, b"C"), (other, b"D")] {
        lake.land_at(url, bytes);
    }
    let latests = lake.zone.latests().unwrap();
    let of = |url| latests.of(&location_of(url, None)).unwrap().unwrap();
    assert_eq!((of(URL).sequence, of(other).sequence, latests.highest()), (3, 4, 4));
    assert_eq!(latests.of("0123456789abcdef").unwrap(), None);

    // The newest folder of a location that is not the newest of the source.
    std::fs::remove_dir_all(lake.folder_of(3)).unwrap();
    assert_eq!(lake.land_at(URL, b"C").sequence, 3);
    std::fs::remove_dir_all(lake.folder_of(3)).unwrap();
    std::fs::remove_dir_all(lake.folder_of(4)).unwrap();
    assert_eq!(lake.land_at(URL, b"E").sequence, 5, "neither number means other bytes now");
    assert_eq!(lake.land_at(other, b"D").sequence, 4);
}

#[test]
fn receipts_of_before_there_were_locations_belong_to_the_url_they_name() {
    let lake = Lake::new();
    let receipt = lake.land(b"A");
    let without_location = |path: PathBuf| {
        let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert!(json.as_object_mut().unwrap().remove("location").is_some());
        std::fs::write(path, json.to_string()).unwrap();
    };
    without_location(lake.folder_of(1).join("receipt.json"));
    without_location(lake.source_folder().join("latest.json"));
    std::fs::remove_dir_all(lake.source_folder().join("latest")).unwrap();

    assert_eq!(lake.zone.receipts().unwrap(), std::slice::from_ref(&receipt));
    assert_eq!((lake.latest().sequence, lake.latest().is_landed), (1, true));
    let latests = lake.zone.latests().unwrap();
    assert_eq!(latests.only_location("0123456789abcdef"), receipt.location, "the one url of a source may move");

    std::fs::remove_dir_all(lake.folder_of(1)).unwrap();
    assert_eq!((lake.latest().sequence, lake.latest().is_landed), (1, false), "the loss is known");
    assert_eq!(lake.land(b"A").sequence, 1);

    lake.land_at("http://source/other.json", b"B");
    let latests = lake.zone.latests().unwrap();
    assert_eq!(latests.only_location("0123456789abcdef"), "0123456789abcdef", "of two it cannot be told which has moved");
}

#[test]
fn downloads_of_urls_that_are_no_more_are_removed() {
    let lake = Lake::new();
    let lock = lake.zone.lock().unwrap();
    for location in ["a", "b"] {
        lake.zone.incoming(location, "events.json").begin(PartNote::default()).unwrap();
    }
    let incoming = lake.source_folder().join("incoming");
    std::fs::write(incoming.join("events.json.part"), b"of an earlier version").unwrap();
    lake.zone.clean_incoming(&lock, ["a"]).unwrap();
    let left: Vec<_> = std::fs::read_dir(&incoming).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["a"]);
    lake.zone.incoming("a", "events.json").remove_all().unwrap();
    assert!(!incoming.exists());
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
    let incoming = lake.zone.incoming("0123456789abcdef", "events.json");
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
    let incoming = lake.zone.incoming("0123456789abcdef", "events.json");
    let mut part = incoming.begin(PartNote::new(Validators::default(), "events.json".to_owned(), None)).unwrap();
    part.write(b"on disk").unwrap();
    part.keep().unwrap();
    part.write(b" perhaps").unwrap();
    drop(part);

    let path = lake.folder.path().join("landing/session_events/events/incoming/0123456789abcdef/events.json.part.json");
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
    let incoming = lake.zone.incoming("0123456789abcdef", "events.json");
    let mut part = incoming.begin(PartNote::new(Validators::default(), "events.json".to_owned(), Some(5))).unwrap();
    part.write(b"whole").unwrap();
    drop(part);
    assert_eq!(incoming.resume(incoming.note().unwrap().unwrap()).unwrap().length(), 4);
}

#[test]
fn a_full_disk_may_be_freed_and_its_error_names_the_place() {
    let path = Path::new("/lake/landing/p/s/incoming/events.json.part");
    let error = Error::io("write", path)(std::io::ErrorKind::StorageFull.into());
    assert_eq!(
        (error.failure(), error.to_string().as_str()),
        (Failure::Transient, "write /lake/landing/p/s/incoming/events.json.part")
    );
    assert!(error.hint().unwrap().starts_with("free space"));
}
