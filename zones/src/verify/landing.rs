//! Landed files against their receipts.

use model::Receipt;
use model::failure::Classify;
use model::verify::{Check, Subject};

use super::{Looking, found};
use crate::error::Error;
use crate::landing::{Error as LandingError, LandingZone};

/// Looks at every landed file of a source: its size, and (of a sample: of some files) its SHA-256. Yields the receipts whose
/// files are as they were received, as far as that was looked at.
pub fn landed(zone: &LandingZone, looking: &Looking) -> Result<(Check, Vec<Receipt>), Error> {
    let mut check = Check::new(format!("landing.{}", zone.source()), Subject::Files);
    let each = zone.each_receipt()?;
    let share = looking.sample.of(each.len() as u64);
    let (mut sound, mut unread) = (Vec::new(), 0);
    for receipt in each {
        looking.shutdown.check()?;
        let receipt = match receipt {
            Ok(receipt) => receipt,
            Err(error) => {
                found(&mut check, "a receipt cannot be read", error.into())?;
                continue;
            }
        };
        check.rows += 1;
        let is_read = share.is_none_or(|share| share.holds(first_bits(&receipt.sha256)));
        let looked = if is_read { zone.verify_content(&receipt) } else { zone.verify(&receipt) };
        match looked {
            Ok(()) if is_read => {
                check.bytes += receipt.size;
                sound.push(receipt);
            }
            Ok(()) => unread += 1,
            Err(error) => {
                let what = match &error {
                    LandingError::Lost { .. } => "a landed file is gone",
                    LandingError::WrongSize { .. } => "a landed file has another size than its receipt says",
                    LandingError::WrongContent { .. } => "a landed file has another content than its receipt says",
                    _ => return Err(error.into()),
                };
                let advice = error.hint();
                check.find(1, what, vec![error.to_string()], advice.as_deref());
            }
        }
    }
    if unread > 0 {
        check.note(format!("of {unread} files the size alone was looked at: they are not in the sample"));
    }
    Ok((check, sound))
}

/// The upper bits of a hash in hex, to choose by.
fn first_bits(hex: &str) -> u64 {
    hex.get(..16).and_then(|first| u64::from_str_radix(first, 16).ok()).unwrap_or(0)
}
