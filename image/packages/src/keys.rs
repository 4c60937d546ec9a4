//! The keys of the tree, and what is signed by them.

use std::path::Path;

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, VerifyingKey};

use crate::error::{Error, Result};
use crate::manifest::{KeyPin, Manifest, Suite};

/// A key of the tree: read, checked against its pinned fingerprint, its parts bound to it by its own signatures.
#[derive(Debug, Clone)]
pub struct Key {
    fingerprint: String,
    key: SignedPublicKey,
}

/// The text under a good signature, and whose signature it was.
#[derive(Debug)]
pub(crate) struct Signed {
    pub text: String,
    pub fingerprint: String,
}

impl Key {
    /// Reads an armoured public key file that must have the pinned fingerprint.
    pub fn load(folder: &Path, pin: &KeyPin) -> Result<Key> {
        let path = folder.join(&pin.file);
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let bad = |reason: String| Error::Key { path: path.clone(), reason };
        let (key, _) = SignedPublicKey::from_armor_single(bytes.as_slice())
            .map_err(|error| bad(format!("not an armoured OpenPGP public key: {error}")))?;
        let fingerprint = fingerprint(&key);
        if fingerprint != pin.fingerprint {
            return Err(bad(format!(
                "its fingerprint is {fingerprint}, but packages.toml pins {}; take the file from a trusted \
                 debian-archive-keyring",
                pin.fingerprint
            )));
        }
        if own_signatures(&key).is_empty() {
            return Err(bad("it carries no good signature of its own".into()));
        }
        if !key.details.revocation_signatures.is_empty() {
            return Err(bad("the key is revoked".into()));
        }
        Ok(Key { fingerprint, key })
    }

    /// The keys that may sign a suite.
    pub(crate) fn of_suite(manifest: &Manifest, suite: &Suite) -> Result<Vec<Key>> {
        suite.keys.iter().map(|name| Key::load(manifest.folder(), &manifest.keys[name])).collect()
    }

    /// Whether a signature over `text` is this key's or one of its signing subkeys', and was good when it was made.
    fn signed(&self, signature: &Signature, text: &str) -> bool {
        let Some(made) = signature.created().map(|stamp| u64::from(stamp.as_secs())) else { return false };
        let primary = &self.key.primary_key;
        let own = own_signatures(&self.key);
        if !alive(primary.created_at().as_secs(), &own, made) {
            return false;
        }
        if own.iter().any(|binding| binding.key_flags().sign()) && verifies(signature, primary, text) {
            return true;
        }
        let mut subkeys = self.key.public_subkeys.iter();
        subkeys.any(|subkey| may_sign(primary, subkey, made) && verifies(signature, &subkey.key, text))
    }
}

/// Checks a clearsigned text against several keys; one good signature of one of them will do, as with apt.
pub(crate) fn verify_clearsigned(bytes: &[u8], keys: &[Key], origin: &str, now: u64) -> Result<Signed> {
    let fail = |reason: String| Error::Signature {
        origin: origin.to_string(),
        reason,
        keys: keys.iter().map(|key| key.fingerprint.clone()).collect(),
    };
    let text = std::str::from_utf8(bytes).map_err(|_| fail("it is not text".into()))?;
    let (message, _) = CleartextSignedMessage::from_string(text)
        .map_err(|error| fail(format!("it is not a clearsigned file ({error})")))?;
    let signed_text = message.signed_text();
    for signature in message.signatures() {
        if !is_strong(signature) || !in_time(signature, now) {
            continue;
        }
        if let Some(key) = keys.iter().find(|key| key.signed(signature, &signed_text)) {
            return Ok(Signed { text: signed_text, fingerprint: key.fingerprint.clone() });
        }
    }
    Err(fail(format!("none of its {} signatures holds", message.signatures().len())))
}

fn verifies(signature: &Signature, key: &impl VerifyingKey, text: &str) -> bool {
    signature.verify(key, text.as_bytes()).is_ok()
}

/// The good signatures of the key over itself. Those of other people's keys, which a published key collects, do not count.
fn own_signatures(key: &SignedPublicKey) -> Vec<&Signature> {
    let primary = &key.primary_key;
    let direct =
        key.details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok());
    let users = key.details.users.iter().flat_map(|user| {
        user.signatures
            .iter()
            .filter(|signature| signature.verify_certification(primary, Tag::UserId, &user.id).is_ok())
    });
    users.chain(direct).collect()
}

/// A subkey signs when the primary key says so, and the subkey says in turn that it belongs to this primary key.
fn may_sign(primary: &PublicKey, subkey: &SignedPublicSubKey, at: u64) -> bool {
    let is_revocation = |signature: &Signature| signature.typ() == Some(SignatureType::SubkeyRevocation);
    let bindings: Vec<&Signature> = subkey
        .signatures
        .iter()
        .filter(|signature| signature.verify_subkey_binding(primary, &subkey.key).is_ok())
        .collect();
    let claims = bindings.iter().any(|binding| {
        let returned = binding.embedded_signature();
        binding.key_flags().sign()
            && returned.is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok())
    });
    claims
        && !subkey.signatures.iter().any(is_revocation)
        && alive(subkey.key.created_at().as_secs(), &bindings, at)
}

/// A key lives from its creation until the expiry that its newest own signature names.
fn alive(created: u32, own: &[&Signature], at: u64) -> bool {
    let newest = own.iter().max_by_key(|signature| signature.created().map(|stamp| stamp.as_secs()));
    let lifetime =
        newest.and_then(|signature| signature.key_expiration_time()).map(|time| u64::from(time.as_secs()));
    let created = u64::from(created);
    at >= created && lifetime.is_none_or(|lifetime| lifetime == 0 || at < created + lifetime)
}

fn is_strong(signature: &Signature) -> bool {
    matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary))
        && matches!(
            signature.hash_alg(),
            Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
        )
}

fn in_time(signature: &Signature, now: u64) -> bool {
    let Some(made) = signature.created().map(|stamp| u64::from(stamp.as_secs())) else { return false };
    let lifetime = signature.signature_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
    made <= now + crate::release::CLOCK_TOLERANCE && (lifetime == 0 || now < made + lifetime)
}

fn fingerprint(key: &SignedPublicKey) -> String {
    key.fingerprint().as_bytes().iter().map(|byte| format!("{byte:02X}")).collect()
}
