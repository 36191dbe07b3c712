//! Tries a proposed definition out: it is read and checked as any other, and the sampled bytes are decoded with it.

use std::fmt::Write;
use std::io::Cursor;
use std::path::Path;

use model::definition::{Format, Pipeline};
use model::reject::RejectReason;
use zones::decode::{Decoder, Piece, open};
use zones::entries::Entry;

use super::Error;
use super::infer::grouped;
use super::sample::{Part, Sample};
use super::sniff::Found;
use super::write::{Cassandra, Plan, files};

/// Reads and checks the plan's texts, with and without its Cassandra tables.
pub(super) async fn checked(plan: &Plan, folder: &Path) -> Result<Pipeline, Error> {
    definition(plan, folder, Cassandra::Active).await?;
    definition(plan, folder, Cassandra::Commented).await
}

async fn definition(plan: &Plan, folder: &Path, cassandra: Cassandra) -> Result<Pipeline, Error> {
    let mut files = files(plan, cassandra);
    let toml = files.remove("pipeline.toml").unwrap_or_default();
    super::checked(&folder.join("pipeline.toml").display().to_string(), toml, files).await
}

/// What a decoding of the sample refused.
#[derive(Default)]
struct Refused {
    records: usize,
    malformed: usize,
    /// The first reject that is about a column.
    detail: Option<(RejectReason, String)>,
}

/// Loosens columns until they take all of the sample; says in the plan what is left. `scratch` is for files without a name.
pub(super) async fn prove(plan: &mut Plan, sample: &Sample, folder: &Path, scratch: &Path) -> Result<(), Error> {
    loop {
        let pipeline = checked(plan, folder).await?;
        let (mut records, mut malformed, mut stays, mut is_loosened) = (0, 0, Vec::new(), false);
        for (table, raw) in plan.tables.iter_mut().zip(&pipeline.raw) {
            let landing = pipeline.landing(&raw.from).expect("a validated definition");
            let decoder = Decoder::new(raw, &landing.format);
            let mut refused = Refused::default();
            for place in &table.parts {
                decode(&sample.parts[*place], &landing.format, &decoder, scratch, &mut refused)?;
            }
            records += refused.records;
            malformed += refused.malformed;
            let Some((reason, detail)) = refused.detail else { continue };
            let column = detail.split(' ').next().unwrap_or_default();
            if table.loosen(column, reason == RejectReason::Missing) {
                is_loosened = true;
            } else {
                stays.push(detail);
            }
        }
        if is_loosened {
            continue;
        }
        plan.proof = said(records, malformed, &stays, sample.parts.iter().all(|part| part.is_whole));
        return Ok(());
    }
}

fn said(records: usize, malformed: usize, stays: &[String], is_whole: bool) -> String {
    let mut said = match (is_whole, malformed + stays.len()) {
        (true, 0) => format!("Tried out on the whole file: none of its {} records is refused.", grouped(records)),
        (false, 0) => format!(
            "Tried out on {} records of it: none is refused. One that was not looked at may be; it is then set aside, with the reason.",
            grouped(records)
        ),
        _ => format!("Tried out on {} records:", grouped(records)),
    };
    if malformed > 0 {
        let _ = write!(said, " {} cannot be read at all and will be set aside.", grouped(malformed));
    }
    for detail in stays {
        let _ = write!(said, " Some will be set aside: {detail}.");
    }
    said
}

fn decode(part: &Part, format: &Format, decoder: &Decoder, scratch: &Path, refused: &mut Refused) -> Result<(), Error> {
    if let Found::Parquet = part.found {
        parquet(part, decoder, refused);
        return Ok(());
    }
    let mut pieces = vec![(part.head.clone(), format.clone())];
    for piece in &part.later {
        let format = if let Found::Csv(csv) = &part.found {
            Format::Csv(model::definition::Csv { null_values: null_values(format), ..Part::csv_without_header(csv) })
        } else {
            format.clone()
        };
        pieces.push((piece.clone(), format));
    }
    for (at, (bytes, format)) in pieces.into_iter().enumerate() {
        let entry = Entry { name: part.entry.clone(), reader: Box::new(Cursor::new(bytes)), file: None };
        let mut pieces = open(entry, &format, decoder, 16 << 20, scratch)?;
        while let Some(piece) = pieces.next_piece()? {
            let Piece::Records(block) = piece else {
                refused.malformed += 1;
                continue;
            };
            let made = decoder.decode(&block);
            refused.records += made.positions.len() + made.rejects.len();
            for reject in made.rejects {
                match reject.reason {
                    // Where a piece was cut out, its first or last record may be a part of one.
                    RejectReason::Malformed => refused.malformed += usize::from(at == 0 && part.is_whole),
                    reason => drop(refused.detail.get_or_insert((reason, reject.detail))),
                }
            }
        }
    }
    Ok(())
}

fn null_values(format: &Format) -> Vec<String> {
    if let Format::Csv(csv) = format { csv.null_values.clone() } else { Vec::new() }
}

/// Rows of Parquet are typed by the file: what is looked at is whether they fit.
fn parquet(part: &Part, decoder: &Decoder, refused: &mut Refused) {
    let Some(rows) = &part.rows else { return };
    for block in &rows.blocks {
        let made = decoder.decode(block);
        refused.records += made.positions.len() + made.rejects.len();
        if let Some(reject) = made.rejects.into_iter().next() {
            refused.detail.get_or_insert((reject.reason, reject.detail));
        }
    }
}
