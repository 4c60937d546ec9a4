//! What a desk knows and the box does not yet: the time, and what the tz database holds.

use crate::Checked;
use crate::finding::{Finding, Severity};
use crate::keys;
use crate::rules::Judge;
use crate::types::{Code, Date};

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// No activation lives longer (facts/ecs-anywhere.md A).
const LONGEST_ACTIVATION: i64 = 30 * DAY;

/// Less than this is too short to carry the card to its place.
const SOON: i64 = 3 * DAY;

/// The desk's own knowledge, handed in: this crate reads no clock and no file.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The desk's clock, in seconds of Unix time.
    pub now: i64,
    /// The moment before which no honest clock can be, for instance that of the program's own build.
    pub not_before: i64,
    /// Whether the tz database has a zone, where there is one to ask.
    pub has_zone: Option<&'a dyn Fn(&str) -> bool>,
}

impl Checked {
    /// What else a desk can say about the file: errors and warnings, in the order of the file.
    pub fn at_desk(&self, desk: &Desk<'_>) -> Vec<Finding> {
        let mut judge = Judge::new(&self.file, &self.places);
        expiry(self, desk, &mut judge);
        let config = &self.config;
        if let (Some(zone), Some(has_zone)) = (&config.device.time_zone, desk.has_zone)
            && !has_zone(zone.as_str())
        {
            judge.error(
                &keys::DEVICE_TIME_ZONE,
                format!("this computer knows no time zone \"{zone}\""),
                "a time zone of the tz database, capitals as there",
                "take a name from 'timedatectl list-timezones', as in \"Europe/Berlin\"",
            );
        }
        let region = &config.activation.region;
        if !region.is_known() {
            judge.warning(
                &keys::ACTIVATION_REGION,
                format!("{region} is no region that this program knows"),
                "a region of your account",
                match crate::types::Region::meant(region.as_str()) {
                    Some(meant) => format!("did you mean {meant}? A newer region is taken as it is"),
                    None => "check it; a newer region is taken as it is".to_owned(),
                },
            );
        }
        example(self, &mut judge);
        if config.activation.code == Code::Used {
            judge.warning(
                &keys::ACTIVATION_CODE,
                "this activation was used",
                "a fresh code, unless the card goes back into the box that used it",
                "for another box make a new activation: aws ssm create-activation",
            );
        }
        judge.findings.sort_by_key(|finding| (finding.place.line, finding.place.column));
        judge.findings
    }
}

/// The example is read without an error, and is nobody's activation.
fn example(checked: &Checked, judge: &mut Judge<'_>) {
    let activation = &checked.config.activation;
    let of_example = |key: &keys::Key, value: &str| key.example.trim_matches('"') == value;
    let id = of_example(&keys::ACTIVATION_ID, activation.id.as_str());
    let code =
        matches!(&activation.code, Code::Unused(code) if of_example(&keys::ACTIVATION_CODE, code.expose()));
    for (key, is_example) in [(&keys::ACTIVATION_ID, id), (&keys::ACTIVATION_CODE, code)] {
        if is_example {
            judge.error(
                key,
                format!("{key} is still the example's"),
                "what the service showed when the activation was made",
                "make an activation: aws ssm create-activation, and copy its id and its code",
            );
        }
    }
}

fn expiry(checked: &Checked, desk: &Desk<'_>, judge: &mut Judge<'_>) {
    let activation = &checked.config.activation;
    let unused = matches!(activation.code, Code::Unused(_));
    let Some(expires) = activation.expires.filter(|_| unused) else {
        if unused {
            judge.warning(
                &keys::ACTIVATION_ID,
                "[activation] expires is missing, so nobody can say whether the activation still holds",
                "the day on which the activation ends",
                "add a line like expires = 2030-12-24; the console shows it beside the activation",
            );
        }
        return;
    };
    let key = &keys::ACTIVATION_EXPIRES;
    if desk.now < desk.not_before {
        judge.warning(
            key,
            format!(
                "this computer's clock says {}, which is past; expiry is not checked",
                Date::of_unix(desk.now)
            ),
            "a computer with the right time",
            "set this computer's clock and check again",
        );
        return;
    }
    let renew = "make a new activation: aws ssm create-activation";
    let today = Date::of_unix(desk.now);
    if desk.now >= expires.latest {
        judge.error(
            key,
            format!("the activation ended on {}; today is {today}", expires.date()),
            "an activation that still holds",
            renew,
        );
    } else if desk.now >= expires.earliest {
        judge.warning(
            key,
            format!("the activation ends today, {today}"),
            "time enough to carry the card to its place",
            renew,
        );
    } else if expires.earliest - desk.now < SOON {
        let hours = (expires.earliest - desk.now) / HOUR;
        let left = if hours < 48 { format!("{hours} hours") } else { format!("{} days", hours / 24) };
        judge.warning(
            key,
            format!("the activation ends in {left}"),
            "time enough to carry the card to its place",
            format!("start the box before {}, or {renew} with a later end", expires.date()),
        );
    } else if expires.earliest - desk.now > LONGEST_ACTIVATION + DAY {
        judge.warning(
            key,
            format!("the activation is said to end in {} days", (expires.earliest - desk.now) / DAY),
            "at most 30 days: no activation lives longer",
            "compare the date with the console; year, month, day in this order",
        );
    }
}

/// Whether any of them is an error.
pub fn refuses(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}
