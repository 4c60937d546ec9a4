//! What a path of the caller means. He sees one folder, which is his `/`; there is nothing above it and nothing inside but files.

use crate::wire::Refusal;

/// The longest name that Linux's file systems hold, in bytes.
const LONGEST: usize = 255;

/// What the mover's own files begin with.
const OWN: &[u8] = b".stayput-";

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spot<'a> {
    /// The folder itself.
    Folder,
    /// A name in it.
    Name(&'a [u8]),
}

/// The names along `path`, by its text alone.
fn steps(path: &[u8]) -> Vec<&[u8]> {
    let mut steps: Vec<&[u8]> = Vec::new();
    for step in path.split(|byte| *byte == b'/') {
        match step {
            b"" | b"." => {}
            b".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    steps
}

/// Where `path` leads, by its text alone: from `/`, or from the folder, which is the same.
pub(crate) fn spot(path: &[u8]) -> Result<Spot<'_>, Refusal> {
    match steps(path)[..] {
        [] => Ok(Spot::Folder),
        [name] => check(name).map(Spot::Name),
        _ => {
            Err(Refusal { code: 2, says: "there are no folders behind this door: use the one that it opens" })
        }
    }
}

/// The name in `path`, where a file is meant.
pub(crate) fn name(path: &[u8]) -> Result<&[u8], Refusal> {
    match spot(path)? {
        Spot::Name(name) => Ok(name),
        Spot::Folder => Err(Refusal::failed("this is the folder, not a file")),
    }
}

/// A path as the caller sees it from the top, for names that are not there as well.
pub(crate) fn real(path: &[u8]) -> Vec<u8> {
    [b"/", steps(path).join(&b'/').as_slice()].concat()
}

/// Whether a name is the mover's own, and none of a caller's business.
pub(crate) fn is_own(name: &[u8]) -> bool {
    name.starts_with(OWN)
}

fn check(name: &[u8]) -> Result<&[u8], Refusal> {
    if name.len() > LONGEST {
        return Err(Refusal::failed("the name is longer than 255 bytes: shorten it"));
    }
    if name.contains(&0) {
        return Err(Refusal::failed("the name holds a NUL byte, which no file's name can"));
    }
    if is_own(name) {
        return Err(Refusal::denied("names that begin with .stayput- are the box's own: choose another"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_folder_or_to_a_name_in_it_and_nowhere_else() {
        for path in ["", ".", "/", "./", "//", "/..", "../..", "a/..", "/a/../."] {
            assert_eq!(spot(path.as_bytes()), Ok(Spot::Folder), "{path}");
            assert_eq!(real(path.as_bytes()), b"/", "{path}");
        }
        for path in ["a", "/a", "./a", "../../a", "x/../a", "/a/"] {
            assert_eq!(spot(path.as_bytes()), Ok(Spot::Name(b"a")), "{path}");
            assert_eq!(real(path.as_bytes()), b"/a", "{path}");
        }
        for path in ["a/b", "/etc/passwd", "../etc/passwd"] {
            assert_eq!(spot(path.as_bytes()).unwrap_err().code, 2, "{path}");
        }
        assert!(name(b"/").is_err() && name(b".stayput-1.part").is_err() && name(b"a\0b").is_err());
        assert!(name(&[b'a'; 255]).is_ok() && name(&[b'a'; 256]).is_err());
    }
}
