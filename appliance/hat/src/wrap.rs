//! Text into lines that fit the screen: nothing is cut off, whatever its length.

/// `text` in lines of at most `columns` characters. It breaks between words; a word that is longer than a line breaks
/// behind a full stop, colon, hyphen or slash where there is one in the second half of the line, else at the line's end.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word = word;
        let room = |line: &str| columns - line.len() - usize::from(!line.is_empty());
        if !line.is_empty() && word.len() > columns.saturating_sub(line.len() + 1) {
            lines.push(std::mem::take(&mut line));
        }
        while word.len() > columns {
            let (head, tail) = word.split_at(break_at(word, columns));
            lines.push(head.to_owned());
            word = tail;
        }
        debug_assert!(word.len() <= room(&line));
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Where a word that is too long breaks: it is ASCII, so any byte will do.
fn break_at(word: &str, columns: usize) -> usize {
    let good = word[..columns].rfind(['.', ':', '-', '/']).map(|at| at + 1);
    good.filter(|at| *at > columns / 2).unwrap_or(columns)
}

/// Printable ASCII as it is, anything else as a question mark: the fonts have no more, and hostile text has no say.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_stay_whole_and_lines_are_filled() {
        let lines = wrap("Check that the network cable is pushed in at both ends.", 21);
        assert_eq!(lines, ["Check that the", "network cable is", "pushed in at both", "ends."]);
    }

    #[test]
    fn an_address_breaks_behind_a_colon_and_a_name_behind_a_hyphen() {
        assert_eq!(
            wrap("2001:db8:85a3:1111:2222:8a2e:370:7334", 21),
            ["2001:db8:85a3:1111:", "2222:8a2e:370:7334"]
        );
        assert_eq!(wrap("warehouse-north-entrance-two", 21), ["warehouse-north-", "entrance-two"]);
        assert_eq!(wrap(&"x".repeat(45), 21).iter().map(String::len).collect::<Vec<_>>(), [21, 21, 3]);
    }

    #[test]
    fn no_text_makes_no_line() {
        assert!(wrap("", 21).is_empty() && wrap("   ", 21).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_is_too_long(text in "[ -~]{0,300}", columns in 1_usize..40) {
            let lines = wrap(&text, columns);
            prop_assert!(lines.iter().all(|line| (1..=columns).contains(&line.len())));
            let bare = |text: &str| text.replace(' ', "");
            prop_assert_eq!(bare(&lines.concat()), bare(&text));
        }

        #[test]
        fn any_text_becomes_printable(text in "\\PC*|.{0,40}") {
            prop_assert!(plain(&text).is_ascii());
            prop_assert_eq!(plain(&text).len(), text.chars().count());
        }
    }
}
