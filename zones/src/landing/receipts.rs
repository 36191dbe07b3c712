//! Receipts on disk, and whether the file that one stands for is still what it says.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use model::Receipt;
use model::receipt::location_of;
use model::shutdown::Shutdown;
use sha2::{Digest, Sha256};

use super::Error;
use super::durable::{read_if_there, write_whole};
use super::names::RECEIPT_FILE;

/// The numbers of the folders, landed or not, in order.
pub(super) fn sequences(folder: &Path) -> Result<Vec<u64>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder)(error)),
    };
    let mut sequences = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", folder))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        // Only names that this module gives: what else lies there is not its business.
        if let Ok(sequence) = name.parse::<u64>()
            && name == format!("{sequence:06}")
        {
            sequences.push(sequence);
        }
    }
    sequences.sort_unstable();
    Ok(sequences)
}

/// Whether the folder has a receipt, readable or not: what cannot be read is for a person to look at.
pub(super) fn is_landed(folder: &Path) -> Result<bool, Error> {
    let path = folder.join(RECEIPT_FILE);
    path.try_exists().map_err(Error::io("look for", &path))
}

/// The receipt in `folder`; `None` where there is none.
pub(super) fn read(folder: &Path, source_name: &str, sequence: u64) -> Result<Option<Receipt>, Error> {
    let path = folder.join(RECEIPT_FILE);
    let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
    let mut receipt: Receipt =
        serde_json::from_slice(&bytes).map_err(|source| Error::BadReceipt { path: path.clone(), source })?;
    if receipt.source != source_name || receipt.sequence != sequence {
        return Err(Error::MisplacedReceipt { path, source_name: receipt.source, sequence: receipt.sequence });
    }
    if receipt.location.is_empty() {
        receipt.location = location_of(&receipt.url, None);
    }
    Ok(Some(receipt))
}

pub(super) fn write(folder: &Path, receipt: &Receipt) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(receipt).expect("a receipt has only string keys");
    write_whole(&folder.join(RECEIPT_FILE), &json)
}

pub(super) fn verify_size(receipt: &Receipt, file: &Path) -> Result<(), Error> {
    let found = match fs::metadata(file) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Lost { source_name: receipt.source.clone(), sequence: receipt.sequence, path: file.to_owned() });
        }
        Err(error) => return Err(Error::io("look at", file)(error)),
    };
    if found == receipt.size {
        return Ok(());
    }
    Err(Error::WrongSize {
        source_name: receipt.source.clone(),
        sequence: receipt.sequence,
        path: file.to_owned(),
        expected: receipt.size,
        found,
    })
}

/// Bytes between two looks at the request to stop: some hundredths of a second.
const LOOK_EVERY: u64 = 16 << 20;

pub(super) fn verify_content(receipt: &Receipt, file: &Path, shutdown: &Shutdown) -> Result<(), Error> {
    verify_size(receipt, file)?;
    let mut hasher = Sha256::new();
    let opened = File::open(file).map_err(Error::io("open", file))?;
    while hash_into(&mut hasher, (&opened).take(LOOK_EVERY)).map_err(Error::io("read", file))? > 0 {
        shutdown.check()?;
    }
    let found = hex(hasher);
    if found == receipt.sha256 {
        return Ok(());
    }
    Err(Error::WrongContent {
        source_name: receipt.source.clone(),
        sequence: receipt.sequence,
        path: file.to_owned(),
        expected: receipt.sha256.clone(),
        found,
    })
}

/// Feeds everything from `reader` to the hasher and says how many bytes that was.
pub(super) fn hash_into(hasher: &mut Sha256, mut reader: impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; 256 * 1024];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                total += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The hash as lower-case hex.
pub(super) fn hex(hasher: Sha256) -> String {
    use std::fmt::Write;
    hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes what is written");
        text
    })
}
