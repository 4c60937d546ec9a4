//! The box's RSA key: made once, kept in the capsule, signs every request for a role token.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PSS_SHA256, RsaKeyPair};
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey};
use rsa::rand_core::OsRng;
use rsa::{BigUint, RsaPrivateKey, RsaPublicKey};

use crate::Error;

/// The service takes this size and no other that the original agent ever made (facts/ecs-anywhere.md B2).
const BITS: usize = 2048;

/// A private key. Its text is a secret and shows itself nowhere but in [`Key::to_text`].
pub struct Key {
    /// PKCS#8, DER, base64.
    text: String,
    pair: RsaKeyPair,
}

impl Key {
    /// Makes a new key: seconds of work on the board, so never while a caller waits for a reply.
    pub fn generate() -> Result<Self, Error> {
        let made = RsaPrivateKey::new(&mut OsRng, BITS).map_err(|e| Error::Key(e.to_string()))?;
        let der = made.to_pkcs8_der().map_err(|e| Error::Key(e.to_string()))?;
        Self::from_text(&STANDARD.encode(der.as_bytes()))
    }

    /// The key that [`Key::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let der = STANDARD.decode(text).map_err(|_| Error::Key("it is not base64".to_owned()))?;
        let pair = RsaKeyPair::from_pkcs8(&der).map_err(|e| Error::Key(e.to_string()))?;
        Ok(Self { text: text.to_owned(), pair })
    }

    /// The key as the capsule keeps it.
    pub fn to_text(&self) -> &str {
        &self.text
    }

    /// The public half as the service wants it: SubjectPublicKeyInfo, DER, base64, one line.
    pub fn public(&self) -> Result<String, Error> {
        let public: ring::rsa::PublicKeyComponents<Vec<u8>> = self.pair.public_key().into();
        let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
        let key =
            RsaPublicKey::new(number(&public.n), number(&public.e)).map_err(|e| Error::Key(e.to_string()))?;
        let der = key.to_public_key_der().map_err(|e| Error::Key(e.to_string()))?;
        Ok(STANDARD.encode(der.as_bytes()))
    }

    /// RSASSA-PSS with SHA-256, a salt as long as the hash, in base64 (facts/ecs-anywhere.md B3).
    pub fn sign(&self, message: &[u8]) -> Result<String, Error> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| Error::Key("it could not sign: no random numbers".to_owned()))?;
        Ok(STANDARD.encode(signature))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Key({} bits, not shown)", self.pair.public().modulus_len() * 8)
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_key_comes_back_from_its_text_and_its_signatures_hold_under_its_public_half() {
        let made = Key::generate().unwrap();
        let key = Key::from_text(made.to_text()).unwrap();
        assert_eq!(key.public().unwrap(), made.public().unwrap());
        // An RSA-2048 SubjectPublicKeyInfo in base64 is exactly this long, and the service's model asks for it.
        assert_eq!(key.public().unwrap().len(), 392);

        let signature = STANDARD.decode(key.sign(b"order").unwrap()).unwrap();
        let public = made.pair.public_key().as_ref();
        let holds =
            |message| UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public).verify(message, &signature);
        assert!(holds(b"order").is_ok());
        assert!(holds(b"ordes").is_err());
        assert!(!format!("{key:?}").contains(&key.to_text()[..16]));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused() {
        for bad in ["", "%%%", "AAAA", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"] {
            assert!(Key::from_text(bad).is_err(), "{bad}");
        }
    }
}
