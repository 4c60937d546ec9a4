//! Alias patterns: how a device or another name is matched to a module.
//!
//! The patterns are those of fnmatch(3) without path rules, which is what libkmod and udev apply:
//! `*`, `?` and `[...]` with ranges.

/// An alias longer than this does not fit the buffers of depmod and modprobe (PATH_MAX).
pub(crate) const LONGEST: usize = 4095;

/// Whether `text` matches `pattern`. Never worse than the product of the two lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on if the text after the last star turns out not to fit: give the star one byte more.
    let mut retry = None;
    loop {
        let step = match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Some(_) if t < text.len() => one(&pattern[p..], text[t]),
            None if t == text.len() => return true,
            _ => None,
        };
        match (step, retry) {
            (Some(width), _) => {
                p += width;
                t += 1;
            }
            (None, Some((after_star, from))) if from < text.len() => {
                retry = Some((after_star, from + 1));
                (p, t) = (after_star, from + 1);
            }
            _ => return false,
        }
    }
}

/// Matches one byte against the head of a pattern: how many bytes of the pattern that took.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern[0] {
        b'?' => Some(1),
        b'[' => match class(pattern, byte) {
            Some((true, width)) => Some(width),
            Some((false, _)) => None,
            // An open bracket without its end stands for itself.
            None => (byte == b'[').then_some(1),
        },
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        literal => (literal == byte).then_some(1),
    }
}

/// A bracket expression at the head of a pattern: whether the byte is in it, and its width.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let mut i = first;
    let mut found = false;
    loop {
        let from = *pattern.get(i)?;
        if from == b']' && i > first {
            return Some((found != negated, i + 1));
        }
        match (pattern.get(i + 1), pattern.get(i + 2)) {
            (Some(b'-'), Some(&to)) if to != b']' => {
                found |= (from..=to).contains(&byte);
                i += 3;
            }
            _ => {
                found |= from == byte;
                i += 1;
            }
        }
    }
}

/// The spelling of an alias in an index: '-' as '_', but not within brackets, where it makes a range.
/// Nothing for an alias with a bracket that does not close or was never opened; depmod leaves such out too.
pub(crate) fn normalised(alias: &str) -> Option<String> {
    let mut inside = false;
    let mut out = String::with_capacity(alias.len());
    for c in alias.chars() {
        match (c, inside) {
            (']', false) => return None,
            (']', true) => inside = false,
            ('[', _) => inside = true,
            _ => {}
        }
        out.push(if c == '-' && !inside { '_' } else { c });
    }
    (!inside).then_some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_device_tree_alias_finds_its_device() {
        let device = "of:NmmcT(null)Callwinner,sun50i-h5-mmcCallwinner,sun50i-a64-mmc";
        assert!(matches("of:N*T*Callwinner,sun50i-a64-mmc", device));
        assert!(matches("of:N*T*Callwinner,sun50i-h5-mmcC*", device));
        assert!(!matches("of:N*T*Callwinner,sun50i-h5-mmc", device));
    }

    #[test]
    fn ranges_negations_and_single_bytes_match_as_fnmatch_does() {
        assert!(matches("usb:v05ACp12[0-9A-F]?d*", "usb:v05ACp12A8d0704"));
        assert!(!matches("usb:v05ACp12[!0-9]8", "usb:v05ACp1248"));
        assert!(matches("a[]]b", "a]b"));
        assert!(matches("a[b", "a[b"));
        assert!(!matches("a", ""));
        assert!(matches("", ""));
        assert!(matches("*", ""));
    }

    #[test]
    fn many_stars_against_a_long_text_end_soon() {
        assert!(!matches(&"a*".repeat(200), &"a".repeat(20_000).replace('\n', "b")[..199]));
        assert!(!matches(&format!("{}b", "*a".repeat(500)), &"a".repeat(20_000)));
    }

    #[test]
    fn dashes_change_outside_brackets_only() {
        assert_eq!(normalised("crypto-crc32c").unwrap(), "crypto_crc32c");
        assert_eq!(normalised("usb:[0-9]-x").unwrap(), "usb:[0-9]_x");
        assert_eq!(normalised("a]b"), None);
        assert_eq!(normalised("a[b"), None);
    }

    proptest! {
        #[test]
        fn every_text_matches_itself_with_its_special_bytes_escaped(text in "[ -~]{0,40}") {
            let mut pattern = String::new();
            for c in text.chars() {
                if "*?[\\".contains(c) { pattern.push('\\'); }
                pattern.push(c);
            }
            prop_assert!(matches(&pattern, &text));
        }

        #[test]
        fn no_pattern_panics(pattern in "[a-c*?\\[\\]!^\\\\-]{0,20}", text in "[a-c\\[\\]-]{0,20}") {
            let _ = matches(&pattern, &text);
            let _ = normalised(&pattern);
        }
    }
}
