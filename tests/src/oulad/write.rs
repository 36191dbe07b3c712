//! The seven files, and the zip that they are in.

use std::fmt::Display;
use std::io::{self, Cursor, Seek, Write};

use super::Archive;
use super::bad::{BadKind, BadRow};
use super::tables::Interaction;

/// Every value quoted, nothing where one is missing (an empty text), a line feed at each line's end.
fn line(out: &mut dyn Write, values: &[&dyn Display]) -> io::Result<()> {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        let text = value.to_string();
        if !text.is_empty() {
            write!(out, "\"{}\"", text.replace('"', "\"\""))?;
        }
    }
    out.write_all(b"\n")
}

fn header(out: &mut dyn Write, names: &str) -> io::Result<()> {
    let names: Vec<&str> = names.split(' ').collect();
    line(out, &names.iter().map(|name| name as &dyn Display).collect::<Vec<_>>())
}

/// The value, or the empty text of a missing one.
fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

impl Archive {
    /// Names of the files, in the order in which they are in the zip.
    pub const FILES: [&str; 7] = [
        "assessments.csv",
        "courses.csv",
        "studentAssessment.csv",
        "studentInfo.csv",
        "studentRegistration.csv",
        "studentVle.csv",
        "vle.csv",
    ];

    /// One of the [`Self::FILES`].
    pub fn write_csv(&self, file: &str, out: &mut dyn Write) -> io::Result<()> {
        match file {
            "assessments.csv" => self.write_assessments(out),
            "courses.csv" => self.write_courses(out),
            "studentAssessment.csv" => self.write_submissions(out),
            "studentInfo.csv" => self.write_students(out),
            "studentRegistration.csv" => self.write_registrations(out),
            "studentVle.csv" => self.write_interactions(out),
            "vle.csv" => self.write_items(out),
            other => panic!("{other} is none of the files"),
        }
    }

    fn write_assessments(&self, out: &mut dyn Write) -> io::Result<()> {
        header(out, "code_module code_presentation id_assessment assessment_type date weight")?;
        for row in &self.tables.assessments {
            let course = row.presentation;
            let weight = format!("{}.{}", row.weight_tenths / 10, row.weight_tenths % 10);
            line(out, &[&course.module, &course.code, &row.id, &row.kind, &optional(row.date), &weight])?;
        }
        Ok(())
    }

    fn write_courses(&self, out: &mut dyn Write) -> io::Result<()> {
        header(out, "code_module code_presentation module_presentation_length")?;
        for row in &self.tables.courses {
            line(out, &[&row.module, &row.code, &row.length])?;
        }
        Ok(())
    }

    fn write_submissions(&self, out: &mut dyn Write) -> io::Result<()> {
        header(out, "id_assessment id_student date_submitted is_banked score")?;
        for row in &self.tables.submissions {
            line(out, &[&row.assessment, &row.student, &row.date, &u8::from(row.banked), &optional(row.score)])?;
        }
        Ok(())
    }

    fn write_students(&self, out: &mut dyn Write) -> io::Result<()> {
        let names = "code_module code_presentation id_student gender region highest_education imd_band age_band \
                     num_of_prev_attempts studied_credits disability final_result";
        header(out, names)?;
        for row in &self.tables.students {
            let imd_band = optional(row.imd_band);
            let values: [&dyn Display; 12] = [
                &row.presentation.module,
                &row.presentation.code,
                &row.id,
                &row.gender,
                &row.region,
                &row.highest_education,
                &imd_band,
                &row.age_band,
                &row.previous_attempts,
                &row.studied_credits,
                &row.disability,
                &row.final_result,
            ];
            line(out, &values)?;
        }
        Ok(())
    }

    fn write_registrations(&self, out: &mut dyn Write) -> io::Result<()> {
        header(out, "code_module code_presentation id_student date_registration date_unregistration")?;
        for row in &self.tables.registrations {
            let (course, registered) = (row.presentation, optional(row.registered));
            line(out, &[&course.module, &course.code, &row.student, &registered, &optional(row.unregistered)])?;
        }
        Ok(())
    }

    fn write_interactions(&self, out: &mut dyn Write) -> io::Result<()> {
        header(out, "code_module code_presentation id_student id_site date sum_click")?;
        let mut bad = self.bad.iter().peekable();
        for (index, row) in self.tables.interactions.iter().enumerate() {
            while let Some(bad) = bad.next_if(|bad| bad.after <= index) {
                spoilt(out, bad)?;
            }
            interaction(out, row)?;
        }
        Ok(())
    }

    fn write_items(&self, out: &mut dyn Write) -> io::Result<()> {
        header(out, "id_site code_module code_presentation activity_type week_from week_to")?;
        for row in &self.tables.items {
            let (course, (from, to)) = (row.presentation, row.weeks.unzip());
            line(out, &[&row.id, &course.module, &course.code, &row.activity_type, &optional(from), &optional(to)])?;
        }
        Ok(())
    }

    /// The zip with all files; the same archive gives the same bytes.
    pub fn write_zip(&self, out: impl Write + Seek) -> io::Result<()> {
        // A fixed time, or the bytes would depend on the clock.
        let entry = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level(Some(6))
            .last_modified_time(zip::DateTime::default());
        let mut archive = zip::ZipWriter::new(out);
        for file in Self::FILES {
            archive.start_file(file, entry)?;
            let mut buffered = io::BufWriter::with_capacity(64 * 1024, &mut archive);
            self.write_csv(file, &mut buffered)?;
            buffered.flush()?;
        }
        archive.finish()?;
        Ok(())
    }

    /// The zip in memory.
    pub fn to_zip(&self) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        self.write_zip(&mut bytes).expect("memory takes any bytes");
        bytes.into_inner()
    }
}

fn interaction(out: &mut dyn Write, row: &Interaction) -> io::Result<()> {
    let course = row.presentation;
    line(out, &[&course.module, &course.code, &row.student, &row.site, &row.date, &row.clicks])
}

fn spoilt(out: &mut dyn Write, bad: &BadRow) -> io::Result<()> {
    let row = &bad.like;
    let course = row.presentation;
    match bad.kind {
        BadKind::NotANumber => line(out, &[&course.module, &course.code, &row.student, &row.site, &row.date, &"many"]),
        BadKind::UnknownModule => line(out, &[&"ZZZ", &course.code, &row.student, &row.site, &row.date, &row.clicks]),
        BadKind::MissingStudent => line(out, &[&course.module, &course.code, &"", &row.site, &row.date, &row.clicks]),
    }
}
