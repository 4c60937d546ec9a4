//! What the identity part tells all others of the box's registration: nothing secret, and only what they act upon.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The version of the format.
pub const VERSION: u32 = 1;

/// The file's folder on the box.
pub const DIRECTORY: &str = "/run/stayput/registration";

/// The file's name in it.
pub const NAME: &str = "registered.json";

/// The longest that is read: room for many hundred activations.
const LONGEST: usize = 64 * 1024;

/// The file's contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Always [`VERSION`].
    pub version: u32,
    /// Who the box is in the region, if it is anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The region that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Activations, by id, that have given this card an identity: their codes are of no use here any more.
    pub spent: Vec<String>,
}

impl Registration {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec(self).expect("texts are JSON, and memory is the only thing written to");
        bytes.push(b'\n');
        bytes
    }

    /// What stands in `folder`; `None` while nothing does.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(NAME);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(Error::io("read", &path))?,
        };
        let file = path.display().to_string();
        let text = crate::document::text_of(&bytes, &file, LONGEST as u64)?;
        let read: Self = serde_json::from_str(text).map_err(|error| Error::Malformed {
            place: crate::Place {
                file: file.clone(),
                line: error.line().max(1),
                column: error.column().max(1),
            },
            what: format!("this is not a registration: {error}"),
        })?;
        if read.version != VERSION {
            return Err(Error::Version { file, found: read.version.into(), known: VERSION });
        }
        Ok(Some(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_comes_back_as_it_went_in_and_nothing_else_is_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Registration::read(folder.path()).unwrap(), None);
        let one = Registration {
            version: VERSION,
            instance: Some("mi-0123456789abcdef0".to_owned()),
            region: Some("eu-central-1".to_owned()),
            spent: vec!["01234567-89ab-cdef-0123-456789abcdef".to_owned()],
        };
        fs::write(folder.path().join(NAME), one.to_bytes()).unwrap();
        assert_eq!(Registration::read(folder.path()).unwrap(), Some(one));
        for other in ["", "{}", "{\"version\":2,\"spent\":[]}", "{\"version\":1,\"spent\":[],\"code\":\"x\"}"]
        {
            fs::write(folder.path().join(NAME), other).unwrap();
            let error = Registration::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(NAME), "{error}");
        }
    }
}
