//! After the registration: the file with its code overwritten, byte for byte as long as before.

use std::ops::Range;

use toml::de::{DeTable, DeValue};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use crate::text::text_of;
use crate::types::Code;

/// The file with a mark in place of the activation code and of its copies in comments; `when` is part of the mark. The same
/// length, so that it goes over the same clusters of the card. What other values say stays what it is, even where it has a
/// piece in common with the code. `None` where there is no unused code.
pub fn mark_used(bytes: &[u8], when: &str) -> Option<Vec<u8>> {
    let text = text_of(bytes, "").ok()?;
    let (root, mistakes) = DeTable::parse_recoverable(text);
    let DeValue::Table(activation) = root.get_ref().get("activation")?.get_ref() else { return None };
    let value = activation.get("code")?;
    let DeValue::String(code) = value.get_ref() else { return None };
    if is_mark(code) || code.len() <= Code::MARK.len() {
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
    // A copy in a comment is as good to a thief as the value. A file with mistakes says nothing that could be spoilt.
    let whole = std::iter::once(0..text.len()).collect();
    let places = if mistakes.is_empty() { comments(text) } else { whole };
    overwrite(&mut marked, &places, code, &mark(when, code.len()));
    // What an earlier writing that the power cut has left of such a copy.
    // Behind half a mark nobody knows the code any more, and its copies went before.
    let lengths = if code.starts_with(Code::MARK) { 0..0 } else { FRAGMENT..code.len() };
    for length in lengths.rev() {
        for piece in [code.get(..length), code.get(code.len() - length..)].into_iter().flatten() {
            overwrite(&mut marked, &places, piece, &".".repeat(length));
        }
    }
    let head = bytes.len() - text.len();
    Some([&bytes[..head], marked.as_bytes()].concat())
}

/// The comments of a text.
fn comments(text: &str) -> Vec<Range<usize>> {
    let tokens = Source::new(text).lex().filter(|token| token.kind() == TokenKind::Comment);
    tokens.map(|token| token.span().start()..token.span().end()).collect()
}

/// Puts something as long in the place of `piece` wherever it stands in these places.
fn overwrite(text: &mut String, places: &[Range<usize>], piece: &str, with: &str) {
    for place in places {
        if text.get(place.clone()).is_some_and(|here| here.contains(piece)) {
            let here = text[place.clone()].replace(piece, with);
            text.replace_range(place.clone(), &here);
        }
    }
}

/// The shortest piece of a code that is looked for: shorter ones are words.
const FRAGMENT: usize = 8;

/// The same file with the mark in place of every copy of the code but the value itself: what is to be on the card before the
/// value goes, which is what the copies are known by. `None` where there are none.
pub fn mark_copies(bytes: &[u8], when: &str) -> Option<Vec<u8>> {
    let marked = mark_used(bytes, when)?;
    let value = value_in(bytes)?;
    let copies = [&marked[..value.start], &bytes[value.clone()], &marked[value.end..]].concat();
    (copies != bytes).then_some(copies)
}

/// Where the code's value stands, quotation marks included.
fn value_in(bytes: &[u8]) -> Option<Range<usize>> {
    let text = text_of(bytes, "").ok()?;
    let (root, _) = DeTable::parse_recoverable(text);
    let DeValue::Table(activation) = root.get_ref().get("activation")?.get_ref() else { return None };
    let (span, head) = (activation.get("code")?.span(), bytes.len() - text.len());
    Some(span.start + head..span.end + head)
}

/// A whole mark: nothing but a time behind the word. Behind a half one, which a power cut has left, stands half of a code.
fn is_mark(code: &str) -> bool {
    let Some(when) = code.strip_prefix(Code::MARK) else { return false };
    when.is_empty()
        || when.strip_prefix(':').is_some_and(|when| when.chars().all(|c| "0123456789TZ:.-".contains(c)))
}

/// Only what needs no escape in any kind of quotation.
fn mark(when: &str, length: usize) -> String {
    let when: String = when.chars().filter(|c| "0123456789TZ:.-".contains(*c)).collect();
    Code::mark(&when, length)
}

/// The activation's id in a file, and whether its code still stands beside it. `None` where there is no activation to be
/// seen; a file with mistakes elsewhere has one all the same.
pub fn activation_in(bytes: &[u8]) -> Option<(String, bool)> {
    let text = text_of(bytes, "").ok()?;
    let (root, _) = DeTable::parse_recoverable(text);
    let DeValue::Table(activation) = root.get_ref().get("activation")?.get_ref() else { return None };
    let text_at = |key: &str| match activation.get(key)?.get_ref() {
        DeValue::String(text) => Some(text.trim().to_owned()),
        _ => None,
    };
    let id = text_at("id")?.to_ascii_lowercase();
    Some((id, mark_used(bytes, "").is_some()))
}

#[cfg(test)]
mod tests {
    use super::{activation_in, mark_copies, mark_used};

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
    fn what_another_value_says_is_left_alone_though_it_has_a_piece_in_common_with_the_code() {
        for code in ["Example://ssm.example.com", "ssm.example.com/CodeOf20Char", "https://ssm.example.com"] {
            let other = "[endpoints]\nssm = \"https://ssm.example.com\"\n";
            let marked =
                marked(&format!("[activation]\ncode = \"{code}\"\n{other}# ssm.example.com, {code}\n"));
            assert!(marked.contains(other), "{marked}");
            let comment = marked.rsplit_once('#').unwrap().1;
            assert!(!comment.contains("example.com"), "{marked}");
        }
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
    fn a_half_mark_is_made_a_whole_one() {
        let text = "[activation]\ncode = \"used:2026-11Of20Char\"\n";
        assert!(marked(text).contains("\"used:2026-11-20T17:0\""));
    }

    #[test]
    fn copies_go_before_the_value_that_they_are_known_by() {
        let code = "EXAMPLE/CodeOf20Char";
        let text = format!("[activation]\ncode = \"{code}\"\n# {code}\n");
        let first = String::from_utf8(mark_copies(text.as_bytes(), WHEN).unwrap()).unwrap();
        assert_eq!(first, format!("[activation]\ncode = \"{code}\"\n# used:2026-11-20T17:0\n"));
        assert_eq!(mark_copies(first.as_bytes(), WHEN), None);
        assert_eq!(marked(&first), marked(&text));
    }

    #[test]
    fn a_marked_file_is_not_marked_again() {
        let once = marked("[activation]\ncode = \"EXAMPLE/CodeOf20Char\"\n");
        assert_eq!(mark_used(once.as_bytes(), WHEN), None);
    }

    #[test]
    fn the_activation_is_found_in_a_file_with_mistakes_too() {
        let id = "01234567-89ab-cdef-0123-456789abcdef";
        let text = format!(
            "[actvation]\n[activation]\nid = \"{}\"\ncode = \"EXAMPLE/CodeOf20Char\"\n",
            id.to_uppercase()
        );
        assert_eq!(activation_in(text.as_bytes()), Some((id.to_owned(), true)));
        assert_eq!(activation_in(marked(&text).as_bytes()), Some((id.to_owned(), false)));
        for none in ["", "[activation]\ncode = \"EXAMPLE/CodeOf20Char\"\n", "\u{fffd}"] {
            assert_eq!(activation_in(none.as_bytes()), None, "{none}");
        }
    }
}
