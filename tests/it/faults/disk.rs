//! Disks that are full or read-only.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use tests::kit::program;

use super::small_disk::SmallDisk;
use super::{Said, Shop, orders};

/// What is written on the way, by what the message says of it.
const KINDS: [(&str, &[&str]); 7] = [
    ("the hold", &["/_sluice/shop/hold"]),
    ("a download", &[".part", "/incoming", "landing/shop/orders"]),
    ("a spill", &[".spill"]),
    ("the load plan", &["plan.json", "/load"]),
    ("a data file", &["write of shop/", ".parquet"]),
    ("a commit", &["commit of shop/", "create of shop/"]),
    ("the key directory", &["/keys/"]),
];

fn kinds_of(said: &str) -> impl Iterator<Item = &'static str> {
    let cause: String = said.lines().filter(|line| line.starts_with("error:") || line.starts_with("  because:")).collect();
    KINDS.into_iter().filter(move |(_, marks)| marks.iter().any(|mark| cause.contains(mark))).map(|(kind, _)| kind)
}

/// A disk that grows by a page whenever it is full: the program is stopped at every file that it writes, and ends in the same
/// place as if there had been room.
#[tokio::test]
async fn a_full_disk_stops_it_at_any_file_and_more_room_lets_it_go_on() {
    let mut shop = Shop::new();
    shop.serve(orders(0..60) + "rubbish\n");
    let lake = shop.lake.clone();
    let mut seen = BTreeSet::new();
    let mut room = 4;
    let mut disk = SmallDisk::at(&lake, room);
    loop {
        let mut command = match &disk {
            Some(disk) => shop.within(disk.command(&program("sluice")), &["run", "shop"]),
            None => limited(&shop, room),
        };
        let said: Said = command.output().unwrap().into();
        if said.code == Some(0) {
            break;
        }
        assert_eq!(said.code, Some(75), "{room} KiB: {}", said.stderr);
        assert!(said.stderr.contains("hint: free "), "{room} KiB: {}", said.stderr);
        seen.extend(kinds_of(&said.stderr));
        room += if disk.is_some() { 4 } else { 1 };
        assert!(room < 2000, "it never ends: {}", said.stderr);
        if let Some(disk) = &mut disk {
            disk.resize(room);
        }
    }
    if let Some(mut disk) = disk {
        // Small files may find room in a page that a larger one left; these cannot.
        for kind in ["a download", "a spill", "a data file", "a commit"] {
            assert!(seen.contains(kind), "never refused: {kind}; {seen:?}");
        }
        shop.lake = shop.base.path().join("seen");
        disk.copy_to(&shop.lake);
    }
    assert!(seen.len() > 1, "{seen:?}");
    shop.holds(0..60).await;
    assert_eq!(shop.rows("SELECT count(*) FROM quarantine").await, ["1"]);
    shop.serve(orders(0..70)).runs();
    shop.holds(0..70).await;
}

/// Where nobody may mount anything: no file may be larger than this. What would signal it is ignored, so that writes fail.
fn limited(shop: &Shop, kib: u64) -> Command {
    let mut shell = Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(program("sluice"));
    shop.within(shell, &["run", "shop"])
}

/// The other way for a disk to be full: no room in a file. Always at hand, also where mounting is.
#[tokio::test]
async fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let shop = Shop::new();
    shop.serve(orders(0..60));
    let mut refused = 0;
    for kib in [0, 1, 2, 3, 6, 12] {
        let said: Said = limited(&shop, kib).output().unwrap().into();
        if said.code == Some(0) {
            break;
        }
        assert_eq!(said.code, Some(75), "{kib} KiB: {}", said.stderr);
        assert!(said.stderr.contains("hint: free "), "{kib} KiB: {}", said.stderr);
        refused += 1;
    }
    assert!(refused > 2);
    shop.runs();
    shop.holds(0..60).await;
}

/// A lake that cannot be written to is for a person: exit code 2, and the place is named. Reading goes on.
#[tokio::test]
async fn a_read_only_lake_is_named_and_can_still_be_read() {
    let mut shop = Shop::new();
    shop.serve(orders(0..20));
    let Some(mut disk) = SmallDisk::at(&shop.lake, 10_000) else {
        // A folder of the kernel's, which nobody may write to.
        shop.lake = Path::new("/sys/kernel/lake").to_owned();
        let said = shop.fails(2);
        assert!(said.contains("/sys/kernel/lake") && said.contains("may write to"), "{said}");
        return;
    };
    let run = |disk: &SmallDisk, arguments: &[&str]| -> Said {
        shop.within(disk.command(&program("sluice")), arguments).output().unwrap().into()
    };
    assert_eq!(run(&disk, &["run", "shop"]).code, Some(0));
    disk.make("ro");
    shop.serve(orders(0..30));
    let said = run(&disk, &["run", "shop"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("Read-only file system") && said.stderr.contains("may write to"), "{}", said.stderr);
    let read = run(&disk, &["sql", "shop", "SELECT count(*) AS n FROM raw.orders", "--output", "csv"]);
    assert_eq!((read.code, read.stdout.as_str()), (Some(0), "n\n20\n"), "{}", read.stderr);
    disk.make("rw");
    let said = run(&disk, &["run", "shop"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}
