//! Signing a request with the box's key: the four lines of Signature Version 4, with RSA in place of the HMAC.
//!
//! The label keeps saying HMAC. That is how the service wants it (facts/ecs-anywhere.md B3).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::{Error, Key};

const LABEL: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "ssm";

/// Who signs: the managed instance in its region.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    /// `mi-…`
    pub instance: &'a str,
    /// The region's name.
    pub region: &'a str,
    /// The key that the service knows.
    pub key: &'a Key,
}

/// The headers that a signature adds to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `X-Amz-Date`
    pub date: String,
    /// `X-Amz-Content-Sha256`; sent, and not part of what is signed.
    pub body: String,
    /// `Authorization`
    pub authorization: String,
}

impl Signer<'_> {
    /// Signs a POST of `body` to `/` of `host`, at `now`.
    pub fn sign(
        &self,
        host: &str,
        kind: &str,
        target: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Signed, Error> {
        let date = now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
        let hash = hex(&Sha256::digest(body));
        let names = "content-type;host;x-amz-date;x-amz-target";
        let canonical = format!(
            "POST\n/\n\ncontent-type:{kind}\nhost:{host}\nx-amz-date:{date}\nx-amz-target:{target}\n\n{names}\n{hash}"
        );
        let scope = format!("{}/{}/{SERVICE}/aws4_request", &date[..8], self.region);
        let text = format!("{LABEL}\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
        let signature = self.key.sign(text.as_bytes())?;
        let authorization = format!(
            "{LABEL} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.instance
        );
        Ok(Signed { date, body: hash, authorization })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
