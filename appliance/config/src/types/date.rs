//! Dates: when an activation ends, in seconds of Unix time, without a clock and without a calendar library.

use std::fmt;

use crate::finding::Flaw;

const DAY: i64 = 24 * 60 * 60;

/// A day of the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year.
    pub year: i64,
    /// The month, from 1.
    pub month: i64,
    /// The day of the month, from 1.
    pub day: i64,
}

impl Date {
    /// The day on which a moment of Unix time lies, in UTC.
    pub fn of_unix(seconds: i64) -> Self {
        // Counted in eras of 400 years that begin on a 1 March, so that the leap day is a year's last.
        let days = seconds.div_euclid(DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted + 2) / 5 + 1,
        }
    }

    /// The first second of the day in UTC.
    pub fn unix(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * shifted + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        (era * 146_097 + day_of_era - 719_468) * DAY
    }
}

impl fmt::Display for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// When an activation ends. A date alone leaves the hour open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// The first second at which it may have ended.
    pub earliest: i64,
    /// The second from which it certainly has ended.
    pub latest: i64,
}

impl Expiry {
    /// The day of the end, in UTC.
    pub fn date(&self) -> Date {
        Date::of_unix(self.earliest)
    }

    pub(crate) fn of_datetime(value: &toml::value::Datetime) -> Result<Self, Flaw> {
        let remedy = "write the day, as in 2026-12-24, or with the hour in UTC, as in 2026-12-24T08:00:00Z";
        let Some(date) = value.date else {
            return Err(Flaw::new("is a time without a day", remedy));
        };
        let day = Date { year: date.year.into(), month: date.month.into(), day: date.day.into() };
        let Some(time) = value.time else {
            return Ok(Self { earliest: day.unix(), latest: day.unix() + DAY });
        };
        let second = i64::from(time.second.unwrap_or(0));
        let second = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + second;
        let minutes = match value.offset {
            Some(toml::value::Offset::Z) => 0,
            Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes),
            None => return Err(Flaw::new("is a time without its zone", "add Z for UTC, or +01:00")),
        };
        let moment = day.unix() + second - minutes * 60;
        Ok(Self { earliest: moment, latest: moment })
    }
}

impl std::str::FromStr for Expiry {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let remedy =
            "write year-month-day, as in 2026-12-24; or with the hour in UTC, as in 2026-12-24T08:00:00Z";
        let parsed: toml::value::Datetime =
            text.parse().map_err(|_| Flaw::new("is no date of this form", remedy))?;
        Self::of_datetime(&parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_seconds_agree_over_leap_years_and_centuries() {
        assert_eq!(Date { year: 1970, month: 1, day: 1 }.unix(), 0);
        assert_eq!(Date { year: 2026, month: 11, day: 20 }.unix(), 1_795_132_800);
        let mut seconds = Date { year: 1899, month: 12, day: 31 }.unix();
        let end = Date { year: 2401, month: 1, day: 1 }.unix();
        while seconds < end {
            assert_eq!(Date::of_unix(seconds).unix(), seconds);
            assert_eq!(Date::of_unix(seconds + DAY - 1).unix(), seconds);
            seconds += DAY;
        }
    }

    #[test]
    fn a_date_alone_leaves_the_day_open_and_a_moment_does_not() {
        let day: Expiry = "2026-12-24".parse().unwrap();
        assert_eq!(day.latest - day.earliest, DAY);
        let moment: Expiry = "2026-12-24T08:00:00Z".parse().unwrap();
        assert_eq!(moment.earliest, day.earliest + 8 * 3600);
        assert_eq!(moment.earliest, moment.latest);
        let east: Expiry = "2026-12-24T09:00:00+01:00".parse().unwrap();
        assert_eq!(east, moment);
    }

    #[test]
    fn other_ways_to_write_a_date_are_refused() {
        for text in ["24.12.2026", "12/24/2026", "2026-02-30", "2026-12-24T08:00:00", "08:00:00", ""] {
            assert!(text.parse::<Expiry>().is_err(), "{text}");
        }
    }
}
