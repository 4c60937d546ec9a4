//! Certificates: an authority of the region's own, one that nobody trusts, and what each says of the region's names.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use crate::Error;

/// What the front door shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chain {
    /// Signed by the region's authority, for the region's names, today.
    Good,
    /// Signed by an authority that the box does not know: somebody intercepts.
    Stranger,
    /// Its last day was yesterday.
    Expired,
    /// Its first day is tomorrow.
    Early,
    /// The region's authority, for another name.
    OtherName,
}

impl Chain {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Good, Self::Stranger, Self::Expired, Self::Early, Self::OtherName];
}

/// Both authorities' work.
pub struct Authority {
    pem: String,
    configs: BTreeMap<Chain, Arc<ServerConfig>>,
}

const DAY: i64 = 86_400;

impl Authority {
    /// Makes authorities and certificates for these names and addresses, around this day.
    pub fn new(names: &[String], now: Timestamp) -> Result<Self, Error> {
        let subject = names.first().map_or("", String::as_str);
        let bad = |error: &dyn std::fmt::Display| Error::Certificate(error.to_string(), subject.to_owned());
        let ours = Signer::new("Stayput stand-in region", now).map_err(|error| bad(&error))?;
        let theirs = Signer::new("Some network's own authority", now).map_err(|error| bad(&error))?;
        let other = ["elsewhere.example".to_owned()];
        let rows: [(Chain, &Signer, &[String], i64, i64); 5] = [
            (Chain::Good, &ours, names, -2, 90),
            (Chain::Stranger, &theirs, names, -2, 90),
            (Chain::Expired, &ours, names, -90, -1),
            (Chain::Early, &ours, names, 2, 90),
            (Chain::OtherName, &ours, &other, -2, 90),
        ];
        let mut configs = BTreeMap::new();
        for (chain, signer, names, from, to) in rows {
            let config =
                signer.config(names, later(now, from), later(now, to)).map_err(|error| bad(&error))?;
            configs.insert(chain, Arc::new(config));
        }
        Ok(Self { pem: ours.certificate, configs })
    }

    /// The region's authority, for the box to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What the next connection is shown.
    pub fn config(&self, chain: Chain) -> Arc<ServerConfig> {
        Arc::clone(&self.configs[&chain])
    }
}

/// One authority.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Signer {
    fn new(name: &str, now: Timestamp) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // A box without a clock has to be told apart from a box with a wrong authority: this one is good for decades.
        between(&mut params, later(now, -20 * 365), later(now, 20 * 365));
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    fn config(
        &self,
        names: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<ServerConfig, Box<dyn std::error::Error>> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("region", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        between(&mut params, from, to);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn later(now: Timestamp, days: i64) -> Timestamp {
    Timestamp::from_second(now.as_second().saturating_add(days * DAY)).unwrap_or(now)
}

/// Year, month and day of a moment: certificates here know no hours.
fn day(at: Timestamp) -> (i32, u8, u8) {
    let at = at.to_zoned(TimeZone::UTC);
    (at.year().into(), at.month().unsigned_abs(), at.day().unsigned_abs())
}

fn between(params: &mut CertificateParams, from: Timestamp, to: Timestamp) {
    let ((year, month, first), (last_year, last_month, last)) = (day(from), day(to));
    params.not_before = rcgen::date_time_ymd(year, month, first);
    params.not_after = rcgen::date_time_ymd(last_year, last_month, last);
}
