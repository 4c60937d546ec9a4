//! The CA bundle: what `update-ca-certificates` would have written.

use crate::error::{Error, Result};
use crate::tree::{Kind, Node, Tree};

/// Where ca-certificates puts one file per authority.
const FOLDER: &str = "usr/share/ca-certificates";

/// What every TLS program on the box reads.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Joins all certificates into the bundle, sorted by path, and takes the single files out: nothing reads them.
pub fn bundle(tree: &mut Tree) -> Result<()> {
    let files: Vec<String> = tree
        .below(FOLDER)
        .filter(|(path, node)| path.ends_with(".crt") && matches!(node.kind, Kind::File(_)))
        .map(|(path, _)| path.to_owned())
        .collect();
    if files.is_empty() {
        return Err(Error::NoCertificates { folder: FOLDER });
    }
    let mut bundle = String::new();
    for path in files {
        let Some(Kind::File(content)) = tree.remove(&path).map(|node| node.kind) else { continue };
        let text = pem(&content).map_err(|problem| Error::Certificate { path, problem })?;
        bundle.push_str(&text);
    }
    let folders: Vec<String> = tree.below(FOLDER).map(|(path, _)| path.to_owned()).collect();
    for path in folders.iter().rev().map(String::as_str).chain([FOLDER]) {
        if tree.below(path).next().is_none() {
            tree.remove(path);
        }
    }
    tree.insert(BUNDLE, Node::file(bundle, 0o644, "CA bundle"))
}

/// One PEM certificate with its lines trimmed, or what is wrong with it.
fn pem(content: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(content).map_err(|_| "not text; is it DER?")?;
    let mut clean = String::new();
    let (mut open, mut body, mut certificates) = (false, 0, 0);
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
        match line {
            BEGIN if open => return Err("a certificate starts inside another"),
            BEGIN => (open, body) = (true, 0),
            END if !open => return Err("a certificate ends that never began"),
            END if body == 0 => return Err("a certificate without content"),
            END => {
                open = false;
                certificates += 1;
            }
            "" => continue,
            line if open => {
                let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
                if !line.bytes().all(base64) {
                    return Err("its body is not base64");
                }
                body += line.len();
            }
            // Comments around the certificate.
            _ => continue,
        }
        clean.push_str(line);
        clean.push('\n');
    }
    match (open, certificates) {
        (true, _) => Err("it ends in the middle"),
        (false, 0) => Err("no BEGIN CERTIFICATE line"),
        (false, _) => Ok(clean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crt(body: &str) -> String {
        format!("{BEGIN}\n{body}\n{END}\n")
    }

    #[test]
    fn the_bundle_is_every_certificate_in_order_and_the_single_files_go() {
        let mut tree = Tree::new();
        for (name, body) in [("mozilla/b.crt", "BBBB"), ("mozilla/a.crt", "AAAA\r"), ("local/c.crt", "CC==")]
        {
            tree.insert(&format!("{FOLDER}/{name}"), Node::file(crt(body), 0o644, "p")).unwrap();
        }
        bundle(&mut tree).unwrap();
        let want = [crt("CC=="), crt("AAAA"), crt("BBBB")].concat();
        assert_eq!(tree.text(BUNDLE).unwrap(), want);
        assert!(tree.get(FOLDER).is_none());
    }

    #[test]
    fn what_is_no_pem_is_refused() {
        for (content, problem) in [
            (crt(""), "without content"),
            (crt("A A\x00"), "base64"),
            (format!("{BEGIN}\nAAAA\n"), "middle"),
            (format!("{BEGIN}\nAAAA\n{}", crt("AAAA")), "inside another"),
            (format!("AAAA\n{END}\n"), "never began"),
            ("plain text\n".to_owned(), "BEGIN"),
            (String::new(), "BEGIN"),
        ] {
            assert!(pem(content.as_bytes()).unwrap_err().contains(problem), "{content:?}");
        }
        assert!(pem(b"\x30\x82\xff").unwrap_err().contains("DER"));
    }

    #[test]
    fn a_tree_without_certificates_is_refused() {
        assert!(matches!(bundle(&mut Tree::new()), Err(Error::NoCertificates { .. })));
    }
}
