//! Which way of writing dates and times fits all values.

use model::definition::{Column, ColumnSource, ColumnType, EpochUnit, Reading, TimeFormat};
use zones::decode::sample::Probe;

/// Ways of writing a date, besides ISO 8601.
const DATES: [&str; 13] = [
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
];

/// Ways of writing the time behind a date.
const CLOCKS: [&str; 9] =
    ["%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p", "%H:%M:%S %z", "%H:%M:%S%z", "%H:%M%z", "%H:%M:%S%.f%z"];

/// How all values are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) data_type: ColumnType,
    /// As the definition writes it; `None` for ISO 8601.
    pub(super) format: Option<String>,
    /// Whether each value says its offset from UTC.
    pub(super) has_offset: bool,
}

/// A column of one type and way of writing, for a probe.
pub(super) fn column(data_type: ColumnType, format: Option<&str>) -> Column {
    let formats = format.map(|format| match format {
        "epoch_seconds" => TimeFormat::Epoch(EpochUnit::Seconds),
        "epoch_millis" => TimeFormat::Epoch(EpochUnit::Millis),
        "epoch_micros" => TimeFormat::Epoch(EpochUnit::Micros),
        "epoch_nanos" => TimeFormat::Epoch(EpochUnit::Nanos),
        pattern => TimeFormat::Pattern(pattern.to_owned()),
    });
    let reading = Reading { formats: formats.into_iter().collect(), ..Reading::default() };
    Column { name: "c".into(), data_type, source: ColumnSource::Field("c".into()), nullable: false, one_of: None, reading }
}

/// Every way in which all of these texts can be read as dates or times; more than one means that it cannot be decided.
pub(super) fn of_texts(values: &[&str]) -> Vec<Times> {
    let fits = |data_type: &ColumnType, format: Option<&str>| {
        let probe = Probe::new(&column(data_type.clone(), format));
        values.iter().all(|value| probe.takes_text(value) && format.is_none_or(|format| has_year_of(format, value)))
    };
    for data_type in [ColumnType::Date, ColumnType::Timestamp] {
        if fits(&data_type, None) {
            let has_offset = data_type == ColumnType::Timestamp && values.iter().all(|value| says_offset(value));
            return vec![Times { data_type, format: None, has_offset }];
        }
    }
    let mut found = Vec::new();
    for date in DATES {
        if fits(&ColumnType::Date, Some(date)) {
            found.push(Times { data_type: ColumnType::Date, format: Some(date.to_owned()), has_offset: false });
        }
    }
    if !found.is_empty() {
        return found;
    }
    for date in ["%Y-%m-%d"].iter().chain(&DATES) {
        for clock in CLOCKS {
            for between in [" ", "T", ", "] {
                let pattern = format!("{date}{between}{clock}");
                if fits(&ColumnType::Timestamp, Some(&pattern)) {
                    let has_offset = clock.ends_with('z');
                    // A pattern with a fraction takes times without one, too.
                    if found.iter().all(|known: &Times| known.format.as_deref() != pattern.strip_suffix("%.f")) {
                        found.push(Times { data_type: ColumnType::Timestamp, format: Some(pattern), has_offset });
                    }
                }
            }
        }
    }
    found
}

/// `%Y` also reads `24` as a year; nobody means the first century.
fn has_year_of(format: &str, value: &str) -> bool {
    let has_four = value.as_bytes().windows(4).any(|four| four.iter().all(u8::is_ascii_digit));
    has_four == format.contains("%Y")
}

fn says_offset(value: &str) -> bool {
    let time = value.get(10..).unwrap_or_default();
    time.ends_with(['Z', 'z']) || time.contains(['+', '-'])
}

/// The unit of numbers that are instants between 2000 and 2040, if they all are.
pub(super) fn epoch_of(numbers: &[&str]) -> Option<&'static str> {
    const FROM: i128 = 946_684_800;
    const TO: i128 = 2_208_988_800;
    let units = [("epoch_seconds", 1), ("epoch_millis", 1000), ("epoch_micros", 1_000_000), ("epoch_nanos", 1_000_000_000)];
    let within = |factor: i128| {
        let is_within = |text: &&str| text.parse::<i128>().is_ok_and(|number| (FROM * factor..TO * factor).contains(&number));
        numbers.iter().all(is_within)
    };
    units.into_iter().find(|(_, factor)| !numbers.is_empty() && within(*factor)).map(|(unit, _)| unit)
}

/// Whether these are days as in `20240131`.
pub(super) fn are_compact_dates(numbers: &[&str]) -> bool {
    let probe = Probe::new(&column(ColumnType::Date, Some("%Y%m%d")));
    let is_one = |text: &&str| text.len() == 8 && (text.starts_with("19") || text.starts_with("20")) && probe.takes_text(text);
    !numbers.is_empty() && numbers.iter().all(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_writing_is_found_and_what_is_open_stays_open() {
        for (values, expected) in [
            (&["2024-01-31", "1999-12-01"][..], &["date iso"][..]),
            (&["2024-01-31T10:00:00Z", "2024-01-31 10:00:00.5+02:00"], &["timestamp iso offset"]),
            (&["2024-01-31 10:00:00"], &["timestamp iso"]),
            (&["31.01.2024", "01.02.2024"], &["date %d.%m.%Y"]),
            (&["13/02/2024"], &["date %d/%m/%Y"]),
            (&["02/13/2024"], &["date %m/%d/%Y"]),
            (&["01/02/2024"], &["date %d/%m/%Y", "date %m/%d/%Y"]),
            (&["13/02/24"], &["date %d/%m/%y"]),
            (&["13/02/2024 10:30"], &["timestamp %d/%m/%Y %H:%M"]),
            (&["2024-02-13 10:30"], &["timestamp %Y-%m-%d %H:%M"]),
            (&["02/13/2024 01:30 PM"], &["timestamp %m/%d/%Y %I:%M %p"]),
            (&["13 Feb 2024"], &["date %d %b %Y"]),
            (&["13 Feb 2024", "soon"], &[]),
        ] {
            let found = of_texts(values);
            let shown: Vec<String> = found
                .iter()
                .map(|times| {
                    let format = times.format.as_deref().unwrap_or("iso");
                    format!("{} {format}{}", times.data_type.text(), if times.has_offset { " offset" } else { "" })
                })
                .collect();
            assert_eq!(shown, expected, "{values:?}");
        }
    }

    #[test]
    fn epochs_are_told_by_their_size() {
        assert_eq!(epoch_of(&["1700000000", "1478255400"]), Some("epoch_seconds"));
        assert_eq!(epoch_of(&["1700000000123"]), Some("epoch_millis"));
        assert_eq!(epoch_of(&["1700000000", "17"]), None);
        assert!(are_compact_dates(&["20240131"]) && !are_compact_dates(&["20240131", "20241331"]));
    }
}
