use std::io::Read;
use model::definition::*;
fn main() {
    let path = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let landing = Landing { name: "e".into(), source: "e".into(), compression: Compression::Auto, entries: "*".into(), format: Format::JsonLines, max_record_bytes: 1, max_unpacked_bytes: u64::MAX };
    let started = std::time::Instant::now();
    let mut total = 0u64;
    let mut buffer = vec![0; 256 * 1024];
    for entry in zones::entries::open(&path, &landing).unwrap() {
        let mut entry = entry.unwrap();
        loop { let n = entry.reader.read(&mut buffer).unwrap(); if n == 0 { break } total += n as u64; }
    }
    let s = started.elapsed().as_secs_f64();
    println!("{total} bytes, {s:.2} s, {:.1} MB/s", total as f64 / s / 1e6);
    print!("{}", std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmHWM")).collect::<String>());
    println!();
}
