//! AWS regions: how they are written, which are known, and which domain they answer under.

use std::str::FromStr;

use super::{plain, text_type};
use crate::finding::Flaw;
use crate::suggest::nearest;

text_type!(
    /// The name of an AWS region, as in `eu-central-1`.
    Region
);

/// The regions known when this was written. Another well-formed name is taken, with a warning on the desk.
const KNOWN: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

impl Region {
    /// Whether the region was known when this program was made.
    pub fn is_known(&self) -> bool {
        KNOWN.contains(&self.as_str())
    }

    /// The known region that this one may stand for.
    pub(crate) fn meant(text: &str) -> Option<&'static str> {
        nearest(text, KNOWN.iter().copied())
    }

    /// The domain under which the region's services answer (facts/ecs-anywhere.md B1).
    pub fn domain(&self) -> &'static str {
        const DOMAINS: &[(&str, &str)] = &[
            ("cn-", "amazonaws.com.cn"),
            ("us-isob-", "sc2s.sgov.gov"),
            ("us-iso-", "c2s.ic.gov"),
            ("eusc-", "amazonaws.eu"),
        ];
        let found = DOMAINS.iter().find(|(prefix, _)| self.0.starts_with(prefix));
        found.map_or("amazonaws.com", |(_, domain)| domain)
    }
}

/// The last word of every region's name. That this list is closed finds most slips of the pen.
const DIRECTIONS: &[&str] =
    &["central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"];

/// `eu-central-1`: words of small letters, a direction, then a number, joined by hyphens.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else { return false };
    let number = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let word = |word: &&str| (2..=12).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase());
    let direction = words.last().is_some_and(|last| DIRECTIONS.contains(last));
    number && direction && (2..=3).contains(&words.len()) && words.iter().all(word)
}

impl FromStr for Region {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 64)?;
        if is_region(text) {
            return Ok(Self(text.to_owned()));
        }
        let zone = text.strip_suffix(|c: char| c.is_ascii_lowercase());
        if let Some(region) = zone.filter(|zone| is_region(zone)) {
            return Err(Flaw::new("is an availability zone", format!("write the region: \"{region}\"")));
        }
        let remedy = match Self::meant(text) {
            Some(region) => format!("did you mean \"{region}\"?"),
            None => "copy the region's code from the console's top bar, as in \"eu-central-1\"".to_owned(),
        };
        Err(Flaw::new("is no region", remedy))
    }
}
