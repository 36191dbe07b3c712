//! Names for landed files, made from what a server or a URL says.

/// In every landed folder; no file takes these names.
pub(super) const RECEIPT_FILE: &str = "receipt.json";
pub(super) const PLAN_FOLDER: &str = "load";

/// File systems allow 255 bytes; what is put behind a name (`.part.json.tmp`) has room.
const MAX_BYTES: usize = 150;
/// How much of the end of a long name is kept: its endings say what it is.
const KEPT_END: usize = 40;

/// A file name that stays in its folder: the last part of the path, without characters that mean something to a shell or a
/// file system, without leading dots, of at most 150 bytes; `data` where nothing is left.
pub fn safe_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).find(|part| !part.trim().is_empty()).unwrap_or_default();
    let cleaned: String = last.trim().chars().map(|char| if is_harmless(char) { char } else { '_' }).collect();
    let name = shortened(cleaned.trim_start_matches('.'));
    let is_taken = name == PLAN_FOLDER || name.starts_with(RECEIPT_FILE);
    match name.as_str() {
        "" => "data".to_owned(),
        _ if is_taken => format!("data-{name}"),
        _ => name,
    }
}

fn is_harmless(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '.' | '-' | '_' | '+' | '=' | '@' | ',' | '~' | '(' | ')' | ' ')
}

fn shortened(name: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name.to_owned();
    }
    let begin = name.floor_char_boundary(MAX_BYTES - KEPT_END - 1);
    let end = name.ceil_char_boundary(name.len() - KEPT_END);
    format!("{}_{}", &name[..begin], &name[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for (text, name) in [
            ("events.json.bz2", "events.json.bz2"),
            ("/exports/2016/events.json.bz2", "events.json.bz2"),
            ("../../etc/passwd", "passwd"),
            ("..\\..\\windows\\system.ini", "system.ini"),
            ("..", "data"),
            ("", "data"),
            ("///", "data"),
            (".hidden", "hidden"),
            ("a\0b\nc.json", "a_b_c.json"),
            ("C:events.csv", "C_events.csv"),
            ("exports/", "exports"),
            ("p\u{e4}iv\u{e4} 1.csv", "p\u{e4}iv\u{e4} 1.csv"),
            ("receipt.json", "data-receipt.json"),
            ("load", "data-load"),
        ] {
            assert_eq!(safe_name(text), name, "{text:?}");
        }
    }

    #[test]
    fn long_names_keep_their_ending_and_fit() {
        let name = safe_name(&format!("{}.json.bz2", "\u{e4}".repeat(300)));
        assert!(name.len() <= MAX_BYTES, "{}", name.len());
        assert!(name.ends_with(".json.bz2"), "{name}");
    }
}
