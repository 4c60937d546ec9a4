//! After the registration: the file with its code overwritten, byte for byte as long as before.

use toml::de::{DeTable, DeValue};

use crate::text::text_of;
use crate::types::Code;

/// The file with a mark in place of the activation code wherever it stands, a comment included; `when` is part of the
/// mark. The same length, so that it goes over the same clusters of the card. `None` where there is no unused code.
pub fn mark_used(bytes: &[u8], when: &str) -> Option<Vec<u8>> {
    let text = text_of(bytes, "").ok()?;
    let (root, _) = DeTable::parse_recoverable(text);
    let DeValue::Table(activation) = root.get_ref().get("activation")?.get_ref() else { return None };
    let value = activation.get("code")?;
    let DeValue::String(code) = value.get_ref() else { return None };
    if code.parse() == Ok(Code::Used) || code.len() <= Code::MARK.len() {
        return None;
    }
    // As it is written, escapes and all; the quotation marks stay.
    let written = text.get(value.span())?;
    let quote =
        ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| written.starts_with(quote)).unwrap_or_default();
    let behind = written.strip_prefix(quote)?;
    // The closing one may be missing: the reader of the text goes on all the same.
    let inner = behind.strip_suffix(quote).unwrap_or(behind);
    let start = value.span().start + quote.len();
    let range = start..start + inner.len();
    let mut marked = text.to_owned();
    marked.replace_range(range.clone(), &mark(when, range.len()));
    // A copy in a comment is as good to a thief as the value.
    let marked = marked.replace(code.as_ref(), &mark(when, code.len()));
    let head = bytes.len() - text.len();
    Some([&bytes[..head], marked.as_bytes()].concat())
}

/// Only what needs no escape in any kind of quotation.
fn mark(when: &str, length: usize) -> String {
    let when: String = when.chars().filter(|c| c.is_ascii_alphanumeric() || "-:.".contains(*c)).collect();
    Code::mark(&when, length)
}

#[cfg(test)]
mod tests {
    use super::mark_used;

    const WHEN: &str = "2026-11-20T17:05:00Z";

    fn marked(text: &str) -> String {
        let marked = mark_used(text.as_bytes(), WHEN).unwrap();
        assert_eq!(marked.len(), text.len());
        String::from_utf8(marked).unwrap()
    }

    #[test]
    fn the_code_is_overwritten_at_the_same_length_wherever_it_stands() {
        let code = "EXAMPLE/CodeOf20Char";
        let text = format!("\u{feff}# {code}\r\n[activation]\r\ncode = \"{code}\" # mine\r\n");
        let marked = marked(&text);
        assert!(!marked.contains(code));
        assert!(marked.contains("code = \"used:2026-11-20T17:0\" # mine\r\n"), "{marked}");
    }

    #[test]
    fn a_code_whose_closing_mark_is_missing_is_overwritten_to_its_last_character() {
        for end in ["", "\u{feff}", "ä", "\n[ecs]\n"] {
            let marked = marked(&format!("[activation]\ncode = \"EXAMPLE/CodeOf20Char{end}"));
            assert!(!marked.contains("CodeOf20Char"), "{marked}");
        }
    }

    #[test]
    fn every_way_to_quote_is_understood() {
        for (before, after) in [("'", "'"), ("\"\"\"", "\"\"\""), ("'''", "'''"), ("\"\\u0041", "\"")] {
            let text = format!("[activation]\ncode={before}EXAMPLE/CodeOf20Chars{after}");
            assert!(marked(&text).contains("used:2026-11-20T17:0"), "{text}");
        }
    }

    #[test]
    fn a_file_without_an_unused_code_is_left_alone() {
        for text in [
            "",
            "[activation]\n",
            "[activation]\ncode = \"used\"\n",
            "[activation]\ncode = 3\n",
            "code = \"x\"\n",
        ] {
            assert_eq!(mark_used(text.as_bytes(), WHEN), None, "{text}");
        }
    }

    #[test]
    fn a_marked_file_is_not_marked_again() {
        let once = marked("[activation]\ncode = \"EXAMPLE/CodeOf20Char\"\n");
        assert_eq!(mark_used(once.as_bytes(), WHEN), None);
    }
}
