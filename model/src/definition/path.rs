//! Paths to fields of a record: `user.address.city`, `items[0].sku`, `"a.b".c`.

/// The way from a record to a value in it. It begins with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Field(String),
    /// The element of a list, from 0.
    Index(usize),
}

impl FieldPath {
    /// Reads a path; the error says in words what is wrong with it.
    ///
    /// A name that has dots, brackets or double quotes of its own stands in double quotes, with `\"` for a quote and `\\` for a
    /// backslash.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = if let Some(quoted) = rest.strip_prefix('"') { quoted_name(quoted)? } else { bare_name(rest)? };
            steps.push(Step::Field(name));
            rest = after;
            while let Some(inside) = rest.strip_prefix('[') {
                let (index, after) = inside.split_once(']').ok_or("a `[` is not closed")?;
                let index = index.trim().parse().map_err(|_| format!("`[{index}]` is not the number of an element, from 0"))?;
                steps.push(Step::Index(index));
                rest = after;
            }
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => return Ok(Self { steps }),
                None => return Err(format!("there is `{rest}` where a `.` or a `[` belongs")),
            }
        }
    }

    /// The field of the record in which the path begins.
    pub fn first(&self) -> &str {
        match self.steps.first() {
            Some(Step::Field(name)) => name,
            _ => unreachable!("a path begins with a field"),
        }
    }
}

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Field(name) => {
                    f.write_str(if at == 0 { "" } else { "." })?;
                    if name.contains(['.', '[', ']', '"', '\\']) || name.is_empty() {
                        write!(f, "\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))?;
                    } else {
                        f.write_str(name)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn bare_name(text: &str) -> Result<(String, &str), String> {
    let end = text.find(['.', '[', ']', '"']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return Err("a name is missing in it".to_owned());
    }
    Ok((name.to_owned(), rest))
}

fn quoted_name(text: &str) -> Result<(String, &str), String> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((name, &text[at + 1..])),
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            other => name.push(other),
        }
    }
    Err("a double quote is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str) -> Step {
        Step::Field(name.to_owned())
    }

    #[test]
    fn paths_are_read_and_shown_as_they_were_written() {
        for (text, steps) in [
            ("ts", vec![field("ts")]),
            ("user.address.city", vec![field("user"), field("address"), field("city")]),
            ("items[0].sku", vec![field("items"), Step::Index(0), field("sku")]),
            ("grid[2][13]", vec![field("grid"), Step::Index(2), Step::Index(13)]),
            (r#""a.b".c"#, vec![field("a.b"), field("c")]),
            (r#"a."[0]""#, vec![field("a"), field("[0]")]),
            (r#""say \"hi\"""#, vec![field("say \"hi\"")]),
            ("Preis in EUR", vec![field("Preis in EUR")]),
        ] {
            let path = FieldPath::parse(text).unwrap();
            assert_eq!(path.steps, steps, "{text}");
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "a name is missing in it"),
            ("a.", "a name is missing in it"),
            ("[0]", "a name is missing in it"),
            ("a..b", "a name is missing in it"),
            ("a[x]", "`[x]` is not the number of an element, from 0"),
            ("a[0", "a `[` is not closed"),
            ("a[0]b", "there is `b` where a `.` or a `[` belongs"),
            ("a]", "there is `]` where a `.` or a `[` belongs"),
            ("\"a", "a double quote is not closed"),
        ] {
            assert_eq!(FieldPath::parse(text), Err(reason.to_owned()), "{text}");
        }
    }
}
