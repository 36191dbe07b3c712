//! Archives that are read once, from their first byte to their last.

use super::*;
use ::tar::{Builder, EntryType, Header};

fn header(kind: EntryType, name: &str, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    // Not by `set_path`, which refuses what is hostile.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    header
}

/// One entry, its header and its blocks.
fn entry(kind: EntryType, name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut blocks = header(kind, name, bytes.len() as u64).as_bytes().to_vec();
    blocks.extend_from_slice(bytes);
    blocks.resize(blocks.len().next_multiple_of(512), 0);
    blocks
}

fn file(name: &str, bytes: &[u8]) -> Vec<u8> {
    entry(EntryType::Regular, name, bytes)
}

fn tar_of(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length = (1..5).map(|digits| digits + rest.len()).find(|length| length.to_string().len() + rest.len() == *length);
    entry(EntryType::XHeader, "PaxHeaders/0", format!("{}{rest}", length.unwrap()).as_bytes())
}

fn names(landed: &Landed) -> Vec<String> {
    landed.read().unwrap().into_iter().map(|(name, _)| name).collect()
}

fn tar_defect(entries: &[Vec<u8>]) -> Defect {
    Landed::new(&tar_of(entries)).defect()
}

#[test]
fn a_tar_of_every_age_is_seen_by_its_first_block_also_inside_what_packs_it() {
    let (one, two) = (lines(5_000), lines(3));
    for new_header in [Header::new_old, Header::new_ustar, Header::new_gnu] {
        let mut builder = Builder::new(Vec::new());
        for (name, bytes) in [("b/one.json", &one), ("a.json", &two), ("empty.json", &Vec::new())] {
            let mut header = new_header();
            header.set_mode(0o644);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let expected =
            [("b/one.json".to_owned(), one.clone()), ("a.json".to_owned(), two.clone()), ("empty.json".to_owned(), Vec::new())];
        for pack in [<[u8]>::to_vec as fn(&[u8]) -> Vec<u8>, gzip, bzip2, zstd, xz] {
            let landed = Landed::new(&pack(&tar));
            assert_eq!(landed.read().unwrap(), expected, "in the order of the archive");
            let entries = landed.open().unwrap();
            let consumed = entries.consumed();
            entries.for_each(|entry| drop(read_whole(entry.unwrap()).unwrap()));
            assert_eq!(consumed.bytes(), landed.path().metadata().unwrap().len(), "all of it was read");
        }
    }
}

#[test]
fn names_and_sizes_are_those_of_the_extended_headers_and_mean_the_same_with_and_without_a_dot() {
    let long = format!("{}/events.json", "folder".repeat(30));
    let many = format!("x\n{}", "y".repeat(120));
    let tar = tar_of(&[
        entry(EntryType::Directory, "./", b""),
        entry(EntryType::GNULongName, "././@LongLink", format!("./{long}\0").as_bytes()),
        file("folderfolder", b"long"),
        pax("path", &many),
        // The size is the file's, not that of the long name that stands between.
        file("xy", b"by pax"),
        pax("size", "6"),
        entry(EntryType::GNULongLink, "././@LongLink", b"target\0"),
        header(EntryType::Regular, "./sized.json", 0).as_bytes().to_vec(),
        file("", b"by pax")[512..].to_vec(),
        file(".//a/./b.json.gz", &gzip(b"packed")),
        entry(EntryType::Directory, "a", b""),
        entry(EntryType::Regular, "folder of old/", b""),
    ]);
    let landed = Landed::new(&tar);
    let read = landed.read().unwrap();
    let seen: Vec<_> = read.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    assert_eq!(
        seen,
        [(long.as_str(), b"long".as_slice()), (many.as_str(), b"by pax"), ("sized.json", b"by pax"), ("a/b.json.gz", b"packed")]
    );
}

#[test]
fn only_entries_that_match_are_read_and_an_archive_without_any_names_what_it_has() {
    let mut landed = Landed::new(&gzip(&tar_of(&[
        file("courses.csv", b"c"),
        file("z.json", b"z"),
        file("._z.json", b"what macOS adds"),
        file("a.json", b"a"),
    ])));
    landed.landing.entries = "*.json".to_owned();
    assert_eq!(names(&landed), ["z.json", "a.json"]);
    landed.landing.entries = "courses.csv".to_owned();
    assert_eq!(landed.read().unwrap(), [("courses.csv".to_owned(), b"c".to_vec())]);

    landed.landing.entries = "*.parquet".to_owned();
    let defect = landed.defect();
    let listed = "no entry matches `*.parquet`; there are: ._z.json, a.json, courses.csv, z.json";
    assert_eq!(defect.to_string(), listed);
    landed.landing.entries = "[".to_owned();
    assert_eq!(landed.open().unwrap_err().failure(), Failure::Definition);
}

#[test]
fn a_stated_tar_has_to_be_one() {
    let tar = tar_of(&[file("a.json", b"a")]);
    let stated = |bytes: &[u8], compression| {
        let mut landed = Landed::new(bytes);
        landed.landing.compression = compression;
        landed
    };
    assert_eq!(names(&stated(&tar, Compression::Tar)), ["a.json"]);
    assert_eq!(names(&stated(&xz(&tar), Compression::TarXz)), ["a.json"]);
    for (bytes, compression, expected, found) in [
        (gzip(&tar), Compression::Gzip, "gzip", "tar.gz"),
        (gzip(&tar), Compression::Tar, "tar", "tar.gz"),
        (zstd(&tar), Compression::TarBzip2, "tar.bz2", "tar.zst"),
        (gzip(b"{}\n"), Compression::TarGzip, "tar.gz", "gzip"),
        (b"{}\n".to_vec(), Compression::Tar, "tar", "none of the known compressions"),
    ] {
        assert_eq!(stated(&bytes, compression).defect(), Defect::OtherCompression { expected, found });
    }
    for (bytes, compression) in [(vec![0; 1024], Compression::Tar), (gzip(&[0; 10_240]), Compression::TarGzip)] {
        let defect = stated(&bytes, compression).defect();
        assert!(defect.to_string().ends_with("there are: none"), "{defect}");
    }
}

#[test]
fn a_tar_that_is_cut_anywhere_is_an_error_also_between_two_entries() {
    let tar = tar_of(&[file("a.json", &lines(30)), pax("path", "b.json"), file("b", &lines(20))]);
    let end = tar.len() - 1024;
    for cut in (512..=end).step_by(256).chain([end + 1, end + 511]) {
        for bytes in [tar[..cut].to_vec(), gzip(&tar[..cut])] {
            let defect = Landed::new(&bytes).defect();
            assert!(matches!(defect, Defect::Truncated { .. }), "{cut} of {}: {defect}", tar.len());
        }
    }
    let packed = gzip(&tar);
    for cut in [packed.len() / 2, packed.len() - 9, packed.len() - 1] {
        let defect = Landed::new(&packed[..cut]).defect();
        assert!(matches!(defect, Defect::Truncated { .. } | Defect::Damaged { .. }), "{cut}: {defect}");
    }
    // One block of the end mark, and no block that fills the file up, is enough: nothing can be missing.
    assert_eq!(Landed::new(&tar[..end + 512]).read().unwrap().len(), 2);
}

#[test]
fn an_entry_that_is_not_wanted_is_trusted_no_more_than_others() {
    for name in ["../evil.json", "a/../../e.json", "/etc/passwd", "C:/evil.json", "a\\..\\e.json"] {
        let mut landed = Landed::new(&tar_of(&[file("ok.csv", b"ok"), file(name, b"{}")]));
        landed.landing.entries = "*.csv".to_owned();
        let error = landed.read().unwrap_err();
        assert_eq!((error.entry.as_deref(), error.defect), (Some(name), Defect::EscapingName));
    }
    for twice in ["a.json", "./a.json", ".//a.json"] {
        let error = Landed::new(&tar_of(&[file("a.json", b"1"), file(twice, b"2")])).read().unwrap_err();
        assert_eq!((error.entry.as_deref(), error.defect), (Some(twice), Defect::DuplicateName));
    }
    assert_eq!(tar_defect(&[file("..", b"x")]), Defect::EscapingName);
    assert_eq!(tar_defect(&[file(".", b"x")]), Defect::EscapingName);
}

#[test]
fn links_devices_and_sparse_files_are_refused_where_they_would_be_read() {
    for (special, defect) in [
        (entry(EntryType::Symlink, "l.json", b""), Defect::SymbolicLink),
        (entry(EntryType::Link, "l.json", b""), Defect::NotAFile { what: "a hard link" }),
        (entry(EntryType::Char, "l.json", b""), Defect::NotAFile { what: "a device" }),
        (entry(EntryType::Fifo, "l.json", b""), Defect::NotAFile { what: "a named pipe" }),
        (entry(EntryType::GNUSparse, "l.json", b""), Defect::Sparse),
        ([pax("GNU.sparse.name", "l.json"), file("GNUSparseFile.0/l.json", b"map")].concat(), Defect::Sparse),
    ] {
        let mut landed = Landed::new(&tar_of(&[special, file("ok.csv", b"ok")]));
        assert_eq!(landed.defect(), defect);
        landed.landing.entries = "*.csv".to_owned();
        assert_eq!(names(&landed), ["ok.csv"]);
    }
    for nested in [zip_of(&[("a.json", b"{}")]), tar_of(&[file("a.json", b"{}")]), gzip(&tar_of(&[file("a.json", b"{}")]))] {
        assert_eq!(tar_defect(&[file("inner", &nested)]), Defect::NestedArchive);
        assert_eq!(Landed::new(&zip_of(&[("inner", &nested)])).defect(), Defect::NestedArchive);
    }
}

#[test]
fn a_header_that_lies_or_can_be_read_in_two_ways_is_damage() {
    let a = file("a.json", b"{}");
    let mut other_checksum = file("b.json", b"{}");
    other_checksum[0] = b'c';
    let mut endless = header(EntryType::Regular, "b.json", 0);
    endless.as_old_mut().size = [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    endless.set_cksum();
    let mut negative = header(EntryType::Regular, "b.json", 0);
    negative.as_old_mut().size = [0xff; 12];
    negative.set_cksum();
    let mut link = header(EntryType::Link, "l.json", 512);
    link.set_cksum();
    for (reason, entries) in [
        ("wrong checksum", vec![a.clone(), other_checksum]),
        ("out of range", vec![a.clone(), endless.as_bytes().to_vec()]),
        ("out of range", vec![a.clone(), negative.as_bytes().to_vec()]),
        ("bytes of its own", vec![a.clone(), link.as_bytes().to_vec(), a.clone()]),
        ("follow on the archive's end mark", vec![a.clone(), vec![0; 1024], file("b.json", b"{}")]),
        ("has no entry", vec![a.clone(), pax("path", "b")]),
        ("two extended headers", vec![pax("path", "b"), pax("path", "c"), a.clone()]),
        ("two names", vec![pax("path", "b"), entry(EntryType::GNULongName, "x", b"c\0"), a.clone()]),
        ("malformed", vec![a.clone(), entry(EntryType::XHeader, "x", b"99 path=b\n"), a.clone()]),
        ("for all entries", vec![a.clone(), entry(EntryType::XGlobalHeader, "x", b"10 path=b\n"), a.clone()]),
        ("more than 1048576", vec![a.clone(), header(EntryType::GNULongName, "x", 1 << 33).as_bytes().to_vec()]),
    ] {
        let defect = tar_defect(&entries);
        assert!(matches!(&defect, Defect::Damaged { reason: found, .. } if found.contains(reason)), "{reason}: {defect}");
    }
    let comment = entry(EntryType::XGlobalHeader, "pax_global_header", b"19 comment=by git!\n");
    assert_eq!(names(&Landed::new(&tar_of(&[comment, a]))), ["a.json"], "as `git archive` writes it");
}

#[test]
fn bombs_and_floods_stop_at_their_limits() {
    let zeros = vec![0; 80 << 20];
    let bomb = bzip2(&zeros);
    assert!(matches!(tar_defect(&[file("a.json.bz2", &bomb)]), Defect::Ratio { .. }));
    let packed = Landed::new(&bzip2(&tar_of(&[file("a.json", &zeros)])));
    assert!(matches!(packed.defect(), Defect::Ratio { unpacked, .. } if unpacked < 66 * MIB));

    let half = lines(20_000);
    let limit = half.len() as u64 + 10_000;
    let mut landed = Landed::new(&gzip(&tar_of(&[file("a.json", &half), file("b.json", &half)])));
    landed.landing.max_unpacked_bytes = limit;
    assert_eq!(landed.defect(), Defect::TooLarge { limit });
    let mut landed = Landed::new(&tar_of(&[file("a.json.gz", &gzip(&half)), file("b.json.gz", &gzip(&half))]));
    landed.landing.max_unpacked_bytes = limit;
    let error = landed.read().unwrap_err();
    assert_eq!((error.entry.as_deref(), error.defect), (Some("b.json.gz"), Defect::TooLarge { limit }));
    landed.landing.max_unpacked_bytes = limit * 2;
    assert_eq!(landed.read().unwrap().len(), 2);

    let flood: Vec<_> = (0..100_001).flat_map(|n| file(&n.to_string(), b"")).collect();
    let mut landed = Landed::new(&[flood, vec![0; 1024]].concat());
    landed.landing.entries = "nothing".to_owned();
    assert_eq!(landed.defect(), Defect::TooManyEntries { entries: 100_001, limit: 100_000 });
}

#[test]
fn an_entry_is_gone_once_the_next_was_asked_for() {
    let landed = Landed::new(&tar_of(&[file("a.json", &lines(30_000)), file("b.json", b"b")]));
    let mut entries = landed.open().unwrap();
    let mut first = entries.next().unwrap().unwrap();
    first.reader.read_exact(&mut [0; 10]).unwrap();
    let second = read_whole(entries.next().unwrap().unwrap()).unwrap();
    assert_eq!(second, ("b.json".to_owned(), b"b".to_vec()), "what was not read of the first is read over");
    assert!(io::copy(&mut first.reader, &mut io::sink()).is_err());
}
