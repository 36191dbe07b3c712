//! Files of the lake that were removed, cut, emptied or changed by a bit: found before anything is made of them, with what is
//! lost and the way back; and the way back leads there.

use std::path::Path;

use super::{Shop, orders};

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, bytes: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

/// Removes the line of a commit that holds this text.
fn without_line(path: &Path, text: &str) {
    let commit = std::fs::read_to_string(path).unwrap();
    let (gone, left): (Vec<_>, Vec<_>) = commit.lines().partition(|line| line.contains(text));
    assert_eq!(gone.len(), 1, "{commit}");
    std::fs::write(path, left.join("\n")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

type Damage = fn(&Shop);

/// Log, data file, change of a table: each is found by the next run that needs it, and `rebuild` is the way back.
#[tokio::test]
async fn a_damaged_table_is_found_and_made_anew_from_what_landed() {
    let shop = Shop::new();
    shop.serve(orders(0..60)).runs();
    let kept = shop.base.path().join("kept");
    copy(&shop.lake, &kept);

    let damages: [(&str, Damage); 9] = [
        ("commit 3 of shop/orders is not what was written: it is empty", |shop| cut(&shop.commit("raw", "orders", 3), 0)),
        // The newest one: read as a commit that did nothing, its rows would be loaded and merged once more.
        ("commit 4 of shop/orders is not what was written: it is empty", |shop| cut(&shop.commit("raw", "orders", 4), 0)),
        ("commit 2 of shop/orders is not what was written: ", |shop| cut(&shop.commit("raw", "orders", 2), 900)),
        ("commit 2 of shop/orders is not what was written: it is not there", |shop| {
            std::fs::remove_file(shop.commit("raw", "orders", 2)).unwrap();
        }),
        ("commit 2 of shop/orders is not what was written: what it does", |shop| {
            without_line(&shop.commit("raw", "orders", 2), r#""add""#);
        }),
        ("commit 2 of shop/orders is not what was written: the note", |shop| {
            without_line(&shop.commit("raw", "orders", 2), r#""commitInfo""#);
        }),
        ("its checksum is", |shop| flip(&shop.data_files("raw", "orders")[1])),
        ("its checksum is", |shop| cut(&shop.data_files("raw", "orders")[1], 1000)),
        ("read data file day=2024-01-02", |shop| std::fs::remove_file(&shop.data_files("raw", "orders")[1]).unwrap()),
    ];
    for (message, damage) in damages {
        std::fs::remove_dir_all(&shop.lake).unwrap();
        copy(&kept, &shop.lake);
        damage(&shop);
        // More orders, some of the same days: what is there is compared with them.
        let said = shop.serve(orders(0..80)).fails(2);
        assert!(said.contains(message) && said.contains("`sluice rebuild shop orders`"), "{message}: {said}");
        assert!(said.lines().count() < 12, "{said}");

        let removed = shop.says(&["rebuild", "shop", "orders"]);
        assert_eq!(removed.code, Some(0), "{message}: {}", removed.stderr);
        shop.runs();
        shop.holds(0..80).await;
        shop.serve(orders(0..60));
    }
}

/// The same of a merged table, whose files the next merge copies from.
#[tokio::test]
async fn a_damaged_merged_table_is_not_copied_on() {
    let shop = Shop::new();
    shop.serve(orders(0..40)).runs();
    flip(&shop.data_files("use_case", "customers")[0]);
    let said = shop.serve(orders(0..50)).fails(2);
    assert!(said.contains("of shop/customers is not what was written"), "{said}");
    assert!(said.contains("`sluice rebuild shop customers`"), "{said}");
    shop.says(&["rebuild", "shop", "customers"]);
    shop.runs();
    shop.holds(0..50).await;
}

/// What can be derived again is, without a word: the note on the last checkpoint, the key directory, the plan of a load.
#[tokio::test]
async fn what_can_be_derived_again_may_be_lost() {
    let shop = Shop::new();
    shop.serve(orders(0..40)).runs();
    std::fs::write(shop.folder("raw", "orders").join("_delta_log/_last_checkpoint"), "garbage").unwrap();
    std::fs::remove_dir_all(shop.lake.join("_sluice")).unwrap();
    std::fs::remove_dir_all(shop.lake.join("landing/shop/orders/000001/load")).unwrap();
    let said = shop.serve(orders(0..50)).runs();
    assert!(!said.stderr.contains("ERROR") && !said.stderr.contains("WARN"), "{}", said.stderr);
    shop.holds(0..50).await;
}

/// A landed file is compared with its sha256 before it is loaded; the source has it still.
#[tokio::test]
async fn a_damaged_landed_file_is_never_loaded_and_lands_again() {
    #[allow(clippy::type_complexity, reason = "a table of three")]
    let damages: [(&str, fn(&Path)); 3] = [
        ("has sha256", |file| flip(file)),
        ("bytes instead of", |file| cut(file, 100)),
        ("is gone", |file| std::fs::remove_file(file).unwrap()),
    ];
    for (message, damage) in damages {
        let shop = Shop::new();
        let said = shop.serve(orders(0..30)).says(&["url-to-landing", "shop"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let folder = shop.lake.join("landing/shop/orders/000001");
        damage(&folder.join("orders.jsonl"));
        let said = shop.fails(2);
        assert!(said.contains("receipt 1 of orders") && said.contains(message), "{said}");
        assert!(said.contains(&format!("delete the folder {}", folder.display())), "{said}");
        std::fs::remove_dir_all(folder).unwrap();
        shop.runs();
        shop.holds(0..30).await;
    }
}

/// Rows that are right are not computed anew from bytes that are not.
#[tokio::test]
async fn a_damaged_landed_file_is_not_decoded_anew_either() {
    let shop = Shop::new();
    shop.serve(orders(0..30)).runs();
    flip(&shop.lake.join("landing/shop/orders/000001/orders.jsonl"));
    let said = shop.says(&["rebuild", "shop", "raw.orders"]);
    assert!(said.code == Some(2) && said.stderr.contains("has sha256"), "{}", said.stderr);
    shop.holds(0..30).await;
}
