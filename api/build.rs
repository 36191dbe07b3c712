//! Puts the files of `dashboard/dist`, if they were built, into the program. Needs neither npm nor a network.

use std::fmt::Write as _;
use std::path::Path;

fn main() {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let dist = Path::new(&root).join("../dashboard/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut paths = Vec::new();
    collect(&dist, "", &mut paths);
    paths.sort();
    let mut table = "&[\n".to_owned();
    for path in paths.iter().filter(|path| !is_compressed(path)) {
        let bytes = |path: &str| format!("include_bytes!({:?})", dist.join(&path[1..]).display().to_string());
        let compressed = format!("{path}.br");
        let brotli = if paths.contains(&compressed) { format!("Some({})", bytes(&compressed)) } else { "None".to_owned() };
        let _ = writeln!(table, "    File {{ path: {path:?}, bytes: {}, brotli: {brotli} }},", bytes(path));
    }
    table.push(']');
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("dashboard.rs"), table).expect("the folder for output can be written");
}

fn is_compressed(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "br")
}

/// The files below a folder as they are asked for; those whose names begin with a dot are not.
fn collect(folder: &Path, under: &str, paths: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{under}/{name}");
        if entry.path().is_dir() {
            collect(&entry.path(), &path, paths);
        } else if !name.starts_with('.') {
            paths.push(path);
        }
    }
}
