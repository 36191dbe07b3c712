//! What to generate.

use super::presentations;

/// The first day that the virtual learning environment is open, counted from a presentation's start.
pub(super) const FIRST_DAY: i16 = -25;
/// The most days that a presentation has in the real archive, from [`FIRST_DAY`] to 269.
const MOST_DAYS: u16 = 295;

/// The default is a few thousand interactions: enough for each peculiarity to be there, few enough for a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub seed: u64,
    /// Students; most of them are registered for one presentation, some for two or three.
    pub students: u32,
    /// Days of activity in each presentation, from 25 days before its start on.
    pub days: u16,
    /// How many of the 22 presentations.
    pub presentations: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 2013, students: 60, days: 40, presentations: 4 }
    }
}

/// Options for which there is no archive.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OptionsError {
    #[error("{students} students: give 10 to 1000000")]
    Students { students: u32 },
    #[error("{days} days: give 10 to {MOST_DAYS}")]
    Days { days: u16 },
    #[error("{presentations} presentations: give 2 to {}", presentations::ALL.len())]
    Presentations { presentations: usize },
}

impl Options {
    pub(super) fn validate(&self) -> Result<(), OptionsError> {
        if !(10..=1_000_000).contains(&self.students) {
            return Err(OptionsError::Students { students: self.students });
        }
        if !(10..=MOST_DAYS).contains(&self.days) {
            return Err(OptionsError::Days { days: self.days });
        }
        if !(2..=presentations::ALL.len()).contains(&self.presentations) {
            return Err(OptionsError::Presentations { presentations: self.presentations });
        }
        Ok(())
    }
}
