use std::io::{self, Write};

use model::definition::{Compression, Format};
use model::{Classify, Failure};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::*;

mod tars;

const MIB: u64 = 1024 * 1024;

struct Landed {
    folder: TempDir,
    landing: Landing,
}

impl Landed {
    fn new(bytes: &[u8]) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("landed"), bytes).unwrap();
        let landing = Landing {
            name: "events".to_owned(),
            source: "events".to_owned(),
            compression: Compression::Auto,
            entries: "*".to_owned(),
            format: Format::JsonLines,
            max_record_bytes: 1024,
            max_unpacked_bytes: 256 * MIB,
        };
        Self { folder, landing }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("landed")
    }

    fn open(&self) -> Result<Entries, Error> {
        open(&self.path(), &self.landing)
    }

    /// Every entry, read to its end.
    fn read(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.open()?.map(|entry| entry.and_then(read_whole)).collect()
    }

    fn defect(&self) -> Defect {
        let error = self.read().expect_err("there is a defect");
        assert_eq!(error.failure(), Failure::Data, "{error}");
        assert!(error.hint().is_some() && error.to_string().contains("landed"), "{error}");
        error.defect
    }
}

fn read_whole(mut entry: Entry) -> Result<(String, Vec<u8>), Error> {
    let mut bytes = Vec::new();
    let ended = entry.reader.read_to_end(&mut bytes);
    match ended {
        Ok(_) => Ok((entry.name, bytes)),
        Err(error) => {
            let again = entry.reader.read(&mut [0; 8]).expect_err("a failed reader stays failed");
            let typed = Error::from_read(&error).expect("an error of this module");
            assert_eq!(Error::from_read(&again).as_ref(), Some(&typed));
            Err(typed)
        }
    }
}

fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| format!("{{\"event\":\"start\",\"n\":{},\"h\":{}}}\n", n, n * 2_654_435_761).into_bytes()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Replaces a name in the local header and the directory by another one of the same length.
fn renamed(mut archive: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<_> = memchr::memmem::find_iter(&archive, from).collect();
    assert_eq!(places.len(), 2);
    for place in places {
        archive[place..place + to.len()].copy_from_slice(to);
    }
    archive
}

/// Where the directory's record of the first entry begins.
fn first_record(archive: &[u8]) -> usize {
    memchr::memmem::find(archive, b"PK\x01\x02").unwrap()
}

#[test]
fn every_compression_is_seen_from_the_first_bytes_and_read_to_the_end_of_its_last_stream() {
    let (first, second) = (lines(20_000), lines(30));
    let both = [first.clone(), second.clone()].concat();
    for pack in [gzip, bzip2, zstd, xz] {
        let landed = Landed::new(&[pack(&first), pack(&second)].concat());
        assert_eq!(landed.read().unwrap(), [("landed".to_owned(), both.clone())]);
        let entries = landed.open().unwrap();
        let consumed = entries.consumed();
        entries.for_each(|entry| drop(read_whole(entry.unwrap()).unwrap()));
        assert_eq!(consumed.bytes(), landed.path().metadata().unwrap().len());
    }
    assert_eq!(Landed::new(&both).read().unwrap(), [("landed".to_owned(), both)]);
}

#[test]
fn a_file_that_is_cut_anywhere_is_an_error_and_never_a_silent_end() {
    let bytes = lines(3_000);
    for (pack, shortest) in [(gzip as fn(&[u8]) -> Vec<u8>, 3), (bzip2, 4), (zstd, 5), (xz, 7)] {
        let packed = pack(&bytes);
        // Two streams, cut in the first, between the streams' parts, and in the second.
        let two = [packed.clone(), packed.clone()].concat();
        for cut in [shortest, packed.len() / 2, packed.len() - 1, packed.len() + shortest, two.len() - 9, two.len() - 1] {
            let defect = Landed::new(&two[..cut]).defect();
            assert!(matches!(defect, Defect::Truncated { .. } | Defect::Damaged { .. }), "{cut} of {}: {defect}", two.len());
        }
    }
}

#[test]
fn flipped_bits_and_bytes_behind_the_end_are_errors() {
    let bytes = lines(3_000);
    for pack in [gzip, bzip2, zstd_with_checksum, xz] {
        let mut damaged = pack(&bytes);
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x10;
        let defect = Landed::new(&damaged).defect();
        assert!(matches!(defect, Defect::Damaged { .. } | Defect::Truncated { .. }), "{defect}");
        let defect = Landed::new(&[pack(&bytes), b"and a line of text".to_vec()].concat()).defect();
        assert!(matches!(defect, Defect::Damaged { .. }), "{defect}");
    }
}

fn zstd_with_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_empty_file_is_one_entry_without_bytes() {
    let mut landed = Landed::new(b"");
    assert_eq!(landed.read().unwrap(), [("landed".to_owned(), Vec::new())]);
    landed.landing.compression = Compression::Gzip;
    assert_eq!(landed.read().unwrap(), [("landed".to_owned(), Vec::new())]);
}

#[test]
fn a_stated_compression_has_to_be_the_real_one() {
    let mut landed = Landed::new(&gzip(b"{}\n"));
    landed.landing.compression = Compression::Bzip2;
    assert_eq!(landed.defect(), Defect::OtherCompression { expected: "bzip2", found: "gzip" });
    landed.landing.compression = Compression::Gzip;
    assert_eq!(landed.read().unwrap()[0].1, b"{}\n");
    landed.landing.compression = Compression::None;
    assert_eq!(landed.read().unwrap()[0].1, gzip(b"{}\n"), "`none` takes the bytes as they are");
}

#[test]
fn entries_of_a_zip_come_in_order_of_name_and_are_unpacked_one_level_deeper() {
    let bytes = lines(5_000);
    let archive = zip_of(&[
        ("b/2.json", b"b2\n"),
        ("b/1.json.gz", &gzip(&bytes)),
        ("a.json.bz2", &[bzip2(b"one\n"), bzip2(b"two\n")].concat()),
        ("notes.txt", b"not this one"),
        ("b/._2.json", b"what macOS adds"),
        ("empty.json", b""),
    ]);
    let mut landed = Landed::new(&archive);
    landed.landing.entries = "*.json*".to_owned();
    let read = landed.read().unwrap();
    let names: Vec<_> = read.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a.json.bz2", "b/1.json.gz", "b/2.json", "empty.json"]);
    assert_eq!(
        (read[0].1.as_slice(), &read[1].1, read[2].1.as_slice(), read[3].1.len()),
        (&b"one\ntwo\n"[..], &bytes, &b"b2\n"[..], 0)
    );

    landed.landing.entries = "*.csv".to_owned();
    let defect = landed.defect();
    assert!(matches!(&defect, Defect::NoMatch { names, .. } if names.len() == 6), "{defect}");
    assert!(defect.to_string().contains("notes.txt"), "{defect}");
    landed.landing.entries = "[".to_owned();
    assert_eq!(landed.open().unwrap_err().failure(), Failure::Definition);
}

#[test]
fn an_archive_whose_names_leave_its_folder_is_refused() {
    for name in ["../evil.json", "a/../../e.js", "/etc/passwd_", "C:/evil.json", "a\\..\\e.json", "evil\0json.js"] {
        let harmless = "x".repeat(name.len());
        let archive = renamed(zip_of(&[("ok.json", b"{}"), (&harmless, b"{}")]), harmless.as_bytes(), name.as_bytes());
        let error = Landed::new(&archive).open().unwrap_err();
        assert_eq!((error.entry.as_deref(), error.defect), (Some(name), Defect::EscapingName));
    }
}

#[test]
fn links_encrypted_entries_and_unknown_methods_are_refused_where_they_would_be_read() {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    writer.add_symlink("link.json", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    writer.start_file("ok.csv", SimpleFileOptions::default()).unwrap();
    let mut landed = Landed::new(&writer.finish().unwrap().into_inner());
    assert_eq!(landed.defect(), Defect::SymbolicLink);
    landed.landing.entries = "*.csv".to_owned();
    assert_eq!(landed.read().unwrap().len(), 1);

    let archive = zip_of(&[("a.json", b"{}")]);
    let record = first_record(&archive);
    let mut encrypted = archive.clone();
    encrypted[record + 8] |= 1;
    assert_eq!(Landed::new(&encrypted).defect(), Defect::Encrypted);
    let mut other_method = archive;
    other_method[record + 10] = 97;
    assert!(matches!(Landed::new(&other_method).defect(), Defect::Method { .. }));
}

#[test]
fn an_archive_inside_the_archive_is_refused() {
    let inner = zip_of(&[("a.json", b"{}")]);
    assert_eq!(Landed::new(&zip_of(&[("inner.zip", &inner)])).defect(), Defect::NestedArchive);
}

#[test]
fn two_entries_cannot_share_a_name_or_bytes() {
    let archive = renamed(zip_of(&[("a.json", b"{}"), ("b.json", b"{}")]), b"b.json", b"a.json");
    assert_eq!(Landed::new(&archive).defect(), Defect::DuplicateNames);

    let mut archive = zip_of(&[("a.json", b"{}"), ("b.json", b"{}")]);
    let second = first_record(&archive) + 46 + "a.json".len();
    assert_eq!(&archive[second..second + 4], b"PK\x01\x02");
    archive[second + 42..second + 46].copy_from_slice(&0_u32.to_le_bytes());
    assert!(matches!(Landed::new(&archive).defect(), Defect::Overlap { .. }));
}

#[test]
fn a_zip_that_is_cut_or_lies_about_its_entries_is_an_error() {
    let archive = zip_of(&[("a.json", &lines(2_000))]);
    for cut in [4, archive.len() / 2, archive.len() - 30, archive.len() - 1] {
        assert!(matches!(Landed::new(&archive[..cut]).defect(), Defect::NotAnArchive { .. }), "{cut}");
    }
    let record = first_record(&archive);
    for (offset, name) in [(16, "checksum"), (20, "packed size"), (24, "size")] {
        for change in [1_i8, -1] {
            let mut lying = archive.clone();
            let old = u32::from_le_bytes(lying[record + offset..record + offset + 4].try_into().unwrap());
            let new = old.wrapping_add_signed(change.into());
            lying[record + offset..record + offset + 4].copy_from_slice(&new.to_le_bytes());
            let result = Landed::new(&lying).read();
            // One byte more of input than deflate needs changes nothing of what comes out.
            let is_harmless = name == "packed size" && change == 1;
            assert_eq!(result.is_ok(), is_harmless, "{name} {change}: {result:?}");
        }
    }
    let mut damaged = archive.clone();
    damaged[archive.len() / 3] ^= 0x40;
    let defect = Landed::new(&damaged).defect();
    assert!(matches!(defect, Defect::Damaged { .. } | Defect::WrongSize { .. } | Defect::WrongChecksum { .. }), "{defect}");
}

#[test]
fn what_unpacks_to_more_than_allowed_stops_there() {
    let mut landed = Landed::new(&gzip(&lines(40_000)));
    landed.landing.max_unpacked_bytes = MIB;
    let mut entry = landed.open().unwrap().next().unwrap().unwrap();
    let copied = io::copy(&mut entry.reader, &mut io::sink()).unwrap_err();
    assert_eq!(Error::from_read(&copied).unwrap().defect, Defect::TooLarge { limit: MIB });

    let half = lines(20_000);
    let mut landed = Landed::new(&zip_of(&[("a.json.gz", &gzip(&half)), ("b.json.gz", &gzip(&half))]));
    landed.landing.max_unpacked_bytes = half.len() as u64 + 10;
    let error = landed.read().unwrap_err();
    assert_eq!(error.entry.as_deref(), Some("b.json.gz"), "the limit is for all entries together: {error}");
    landed.landing.max_unpacked_bytes = 100;
    assert!(matches!(landed.open(), Err(Error { entry: None, defect: Defect::TooLarge { .. }, .. })), "the directory is enough");
}

#[test]
fn a_bomb_is_stopped_by_its_ratio() {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::best());
    io::copy(&mut io::repeat(b'0').take(80 * MIB), &mut encoder).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1_000);
    assert!(matches!(Landed::new(&bomb).defect(), Defect::Ratio { .. }));
    let defect = Landed::new(&zip_of(&[("a.json.bz2", &bomb)])).defect();
    assert!(matches!(defect, Defect::Ratio { unpacked, .. } if unpacked < 66 * MIB), "{defect}");
}

#[test]
fn an_archive_of_too_many_entries_is_refused_before_its_directory_is_read() {
    let mut archive = zip_of(&[("a.json", b"{}")]);
    let end = archive.len() - 22;
    archive.truncate(end);
    // A zip64 end that declares 200,000 entries, its locator, and the plain end.
    let end64 = archive.len() as u64;
    archive.extend_from_slice(b"PK\x06\x06");
    archive.extend_from_slice(&44_u64.to_le_bytes());
    archive.extend_from_slice(&[0; 12]);
    archive.extend_from_slice(&200_000_u64.to_le_bytes());
    archive.extend_from_slice(&200_000_u64.to_le_bytes());
    archive.extend_from_slice(&[0; 16]);
    archive.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    archive.extend_from_slice(&end64.to_le_bytes());
    archive.extend_from_slice(&[1, 0, 0, 0]);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    archive.extend_from_slice(&[0xff; 12]);
    archive.extend_from_slice(&[0, 0]);
    assert_eq!(Landed::new(&archive).defect(), Defect::TooManyEntries { entries: 200_000, limit: 100_000 });
}

#[test]
fn a_landed_file_that_is_gone_is_not_bad_data() {
    let landed = Landed::new(b"{}");
    std::fs::remove_file(landed.path()).unwrap();
    let error = landed.open().unwrap_err();
    assert_eq!(error.failure(), Failure::Definition);
    assert!(error.to_string().contains("cannot be read"), "{error}");
}
