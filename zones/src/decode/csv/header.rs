//! The header of an entry: which of its fields are wanted.

use model::definition::Csv;

use super::super::fields::Fields;

/// What can stand between fields, in the order in which a guess prefers them.
const DELIMITERS: [(u8, &str); 4] = [(b',', ","), (b';', ";"), (b'\t', "\\t"), (b'|', "|")];

/// How the records of an entry are laid out.
#[derive(Debug)]
pub(in crate::decode) struct Layout {
    /// Fields of a record.
    pub(super) width: usize,
    /// Where the field of each column is; `None` where the entry lacks it.
    pub(super) columns: Vec<Option<usize>>,
    /// Names and places of the fields that no column wants.
    pub(super) unknown: Vec<(String, usize)>,
}

/// Why a header cannot be used, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    pub(super) problem: String,
    pub(super) hint: Option<String>,
}

impl Layout {
    /// Finds the contract's fields among `names`. `line` is the header as it stands, where the entry has one.
    pub(super) fn resolve(names: Vec<String>, line: Option<&str>, fields: &Fields, csv: &Csv) -> Result<Self, Unusable> {
        let wanted = |name: &String| fields.names.contains(name);
        let width = names.len();
        if !fields.names.iter().any(|name| names.contains(name)) {
            return Err(none_found(&names, line, fields, csv));
        }
        for (place, name) in names.iter().enumerate() {
            if names[..place].contains(name) && (wanted(name) || fields.keeps_unknown()) {
                let hint = "ask for the file with a name of its own for each field".to_owned();
                return Err(Unusable { problem: format!("the header has the field `{name}` twice"), hint: Some(hint) });
            }
        }
        let columns = fields.paths.iter().map(|path| names.iter().position(|name| name == path.first())).collect();
        let unknown =
            names.into_iter().enumerate().filter(|(_, name)| !wanted(name)).map(|(place, name)| (name, place)).collect();
        Ok(Self { width, columns, unknown })
    }
}

fn none_found(names: &[String], line: Option<&str>, fields: &Fields, csv: &Csv) -> Unusable {
    let wanted = fields.names.join(", ");
    let Some(line) = line else {
        let problem = format!("a record has {} fields, and none of them is one of the contract's: {wanted}", names.len());
        return Unusable {
            problem,
            hint: Some("fields without a header are called 1, 2, ...: give the columns these as `field`".to_owned()),
        };
    };
    let shown: String = line.chars().take(200).collect();
    let problem = format!("the header has none of the contract's fields ({wanted}): it is `{shown}`");
    // Another delimiter that shows the fields that are wanted, or else one that cuts the header into pieces.
    let pieces = |delimiter: u8| line.split(char::from(delimiter)).map(|piece| piece.trim_matches(['"', '\'', ' ']));
    let others = DELIMITERS.iter().filter(|(delimiter, _)| *delimiter != csv.delimiter);
    let fitting = |delimiter: u8| pieces(delimiter).filter(|piece| fields.names.iter().any(|name| name == piece)).count();
    let best = others.clone().max_by_key(|(delimiter, _)| fitting(*delimiter)).filter(|(delimiter, _)| fitting(*delimiter) > 0);
    let best = best.or_else(|| others.max_by_key(|(delimiter, _)| pieces(*delimiter).count()).filter(|_| names.len() == 1));
    let hint = match best {
        _ if line.trim_start().starts_with(['{', '[']) => {
            "this looks like JSON: set `format = \"json_lines\"` in the landing".to_owned()
        }
        _ if line.trim_start().starts_with('<') => {
            "this looks like a web page: see in a browser what the source's `url` answers, and whether it asks who you are"
                .to_owned()
        }
        Some((delimiter, written)) if pieces(*delimiter).count() > 1 || fitting(*delimiter) > 0 => {
            format!("the delimiter seems to be another one: set `delimiter = \"{written}\"` in the landing")
        }
        _ if names.iter().any(|name| fields.names.iter().any(|field| field.eq_ignore_ascii_case(name.trim()))) => {
            "names must be equal to the letter: say in `field` how each is written".to_owned()
        }
        _ if names.iter().any(|name| name.trim().parse::<f64>().is_ok()) => {
            let listed = names.iter().map(|_| "\"...\"").collect::<Vec<_>>().join(", ");
            format!("this looks like a record: where there is no header, name the fields in the landing, `header = [{listed}]`")
        }
        _ => "say in the columns' `field` how the header names them".to_owned(),
    };
    Unusable { problem, hint: Some(hint) }
}

#[cfg(test)]
mod tests {
    use model::definition::{Format, UnknownFields};

    use super::super::super::fields::tests::{decoder, field};
    use super::super::tests::CSV;
    use super::*;

    fn resolve(names: &[&str], line: &str) -> Result<Layout, Unusable> {
        let columns = [field("id", "id", "int64", false), field("price", "Unit Price", "float64", true)];
        let decoder = decoder(&columns, UnknownFields::Keep, &Format::Csv(CSV.clone()));
        Layout::resolve(names.iter().map(|name| (*name).to_owned()).collect(), Some(line), &decoder.fields, &CSV)
    }

    #[test]
    fn columns_are_found_by_name_whatever_their_order() {
        let layout = resolve(&["mood", "Unit Price", "id"], "").unwrap();
        assert_eq!((layout.width, layout.columns), (3, vec![Some(2), Some(1)]));
        assert_eq!(layout.unknown, [("mood".to_owned(), 0)]);
        assert_eq!(resolve(&["id"], "").unwrap().columns, [Some(0), None]);
    }

    #[test]
    fn a_header_that_cannot_be_used_says_what_it_is_and_what_to_do() {
        for (names, line, problem, hint) in [
            (&["id;Unit Price"][..], "id;Unit Price", "it is `id;Unit Price`", "`delimiter = \";\"`"),
            (
                &["id\t\"Unit Price\""],
                "id\t\"Unit Price\"",
                "none of the contract's fields (id, Unit Price)",
                "`delimiter = \"\\t\"`",
            ),
            (&["x|y"], "x|y", "it is `x|y`", "`delimiter = \"|\"`"),
            (&["1", "2.50"], "1,2.50", "it is `1,2.50`", "header = [\"...\", \"...\"]"),
            (&["ID", "unit price"], "ID,unit price", "it is", "equal to the letter"),
        ] {
            let unusable = resolve(names, line).unwrap_err();
            assert!(unusable.problem.contains(problem), "{unusable:?}");
            assert!(unusable.hint.as_ref().unwrap().contains(hint), "{unusable:?}");
        }
        assert_eq!(resolve(&["id", "x", "id"], "").unwrap_err().problem, "the header has the field `id` twice");
        assert_eq!(resolve(&["id", "x", "x"], "").unwrap_err().problem, "the header has the field `x` twice");
    }
}
