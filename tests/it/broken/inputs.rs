//! Inputs of broken folders that are no text.

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Writes what the folder of this name needs beside its texts.
pub(super) fn make(name: &str, folder: &Path) {
    let orders = orders(400);
    let (file, bytes) = match name {
        "gzip_truncated" => ("orders.csv.gz", half(&gzip(&orders))),
        "gzip_unpacks_to_too_much" => ("orders.csv.gz", gzip(&orders)),
        "bzip2_damaged" => ("orders.csv.bz2", damaged(bzip2(&orders))),
        "zstd_truncated" => ("orders.csv.zst", half(&zstd::encode_all(orders.as_slice(), 3).unwrap())),
        "tar_truncated" => ("orders.tar", half(&tar(&orders))),
        "zip_truncated" => ("orders.zip", half(&zip(&[("orders.csv", &orders)]))),
        "zip_damaged" => ("orders.zip", damaged(zip(&[("orders.csv", &orders)]))),
        "zip_without_a_matching_entry" => ("orders.zip", zip(&[("readme.txt", b"read me"), ("2024/orders.csv", &orders)])),
        "zip_with_a_password" => ("orders.zip", locked(zip(&[("orders.csv", &orders)]))),
        "zip_inside_a_zip" => {
            let inner = zip(&[("orders.csv", &orders)]);
            ("orders.zip", zip(&[("january.zip", &inner)]))
        }
        "zip_with_a_name_outside" => ("orders.zip", zip(&[("../orders.csv", &orders)])),
        "parquet_truncated" => ("orders.parquet", half(&parquet("order_id"))),
        "parquet_with_other_columns" => ("orders.parquet", parquet("id")),
        "parquet_with_other_types" => ("orders.parquet", parquet("order_id")),
        _ => return,
    };
    std::fs::write(folder.join(file), bytes).unwrap();
}

/// A text that packs badly, so that half of the packed file is half of the rows.
fn orders(count: u64) -> Vec<u8> {
    let mut text = "order_id,customer,country,amount,ordered_at\n".to_owned();
    for order in 0..count {
        let amount = order * 7919 % 10_007;
        let minute = order * 104_729 % 1440;
        let customer = order * 15_485_863 % 99_991;
        let line = format!("{order},customer {customer},FI,{amount}.00,2024-01-15T{:02}:{:02}:00\n", minute / 60, minute % 60);
        text += &line;
    }
    text.into_bytes()
}

fn half(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() / 2].to_vec()
}

/// With a stretch in the middle that is other than it was.
fn damaged(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16].iter_mut().for_each(|byte| *byte ^= 0x5a);
    bytes
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn tar(content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "orders.csv", content).unwrap();
    builder.into_inner().unwrap()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// As if its entries were encrypted: the first bit of their flags says so, at each entry and in the directory.
fn locked(mut zip: Vec<u8>) -> Vec<u8> {
    for (signature, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let at = zip.windows(4).position(|four| four == signature).unwrap();
        zip[at + flags] |= 1;
    }
    zip
}

/// Two orders, one of which has an amount of more digits than the contract allows.
fn parquet(key: &str) -> Vec<u8> {
    let columns: Vec<(&str, ArrayRef)> = vec![
        (key, Arc::new(Int64Array::from(vec![1, 2]))),
        ("customer", Arc::new(StringArray::from(vec!["ada", "ben"]))),
        ("amount", Arc::new(Float64Array::from(vec![10.5, 12.123]))),
        ("ordered_at", Arc::new(StringArray::from(vec!["2024-01-15T09:00:00", "2024-01-15T10:00:00"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}
