//! The rows of the seven files.

use super::presentations::Presentation;

/// The files as they are, row by row, in the order of the files.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables {
    /// courses.csv
    pub courses: Vec<Presentation>,
    /// vle.csv
    pub items: Vec<Item>,
    /// assessments.csv
    pub assessments: Vec<Assessment>,
    /// studentInfo.csv, one row a student and presentation.
    pub students: Vec<Student>,
    /// studentRegistration.csv, one row a student and presentation.
    pub registrations: Vec<Registration>,
    /// studentAssessment.csv
    pub submissions: Vec<Submission>,
    /// studentVle.csv; rows repeat.
    pub interactions: Vec<Interaction>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub id: i32,
    pub presentation: Presentation,
    pub activity_type: &'static str,
    /// First and last week in which it is planned to be used; most have none.
    pub weeks: Option<(i8, i8)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    pub id: i32,
    pub presentation: Presentation,
    pub kind: &'static str,
    /// Missing where an exam has no fixed day.
    pub date: Option<i16>,
    /// In tenths: 12.5 is 125.
    pub weight_tenths: i16,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Student {
    pub id: i32,
    pub presentation: Presentation,
    pub gender: &'static str,
    pub region: &'static str,
    pub highest_education: &'static str,
    /// Missing for some.
    pub imd_band: Option<&'static str>,
    pub age_band: &'static str,
    pub previous_attempts: i8,
    pub studied_credits: i16,
    pub disability: &'static str,
    pub final_result: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    pub student: i32,
    pub presentation: Presentation,
    /// Missing for some.
    pub registered: Option<i16>,
    /// Missing unless the student left.
    pub unregistered: Option<i16>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    pub assessment: i32,
    pub student: i32,
    pub date: i16,
    /// Taken over from an earlier presentation; its date is -1.
    pub banked: bool,
    pub score: Option<i16>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interaction {
    pub presentation: Presentation,
    pub student: i32,
    pub site: i32,
    pub date: i16,
    pub clicks: i32,
}
