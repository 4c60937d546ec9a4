//! The files systemd reads: sections, `key=value` lines, continuations, comments.

/// One setting with the line it starts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The section, without brackets.
    pub section: String,
    /// The key.
    pub key: String,
    /// The value, continuation lines joined with a blank.
    pub value: String,
    /// Line number, from 1.
    pub line: usize,
}

/// A line that is none of these, with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads a whole file.
pub fn parse(text: &str) -> (Vec<Setting>, Vec<Unreadable>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut settings, mut unreadable) = (Vec::new(), Vec::new());
    let mut section = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let number = index + 1;
        let start = first.trim();
        if start.is_empty() || is_comment(start) {
            continue;
        }
        let mut line = start.to_owned();
        // A comment inside a continued value is skipped, and the value goes on after it.
        while let Some(open) = line.strip_suffix('\\') {
            line = format!("{} ", open.trim_end());
            let next = lines.by_ref().map(|(_, next)| next.trim()).find(|next| !is_comment(next));
            line.push_str(next.unwrap_or_default());
        }
        let line = line.trim_end();
        if let Some(name) = line.strip_prefix('[') {
            match name.strip_suffix(']') {
                Some(name) => name.clone_into(&mut section),
                None => unreadable
                    .push(Unreadable { line: number, problem: format!("section {line:?} is not closed") }),
            }
        } else if let Some((key, value)) = line.split_once('=') {
            if section.is_empty() {
                let problem = format!("{:?} stands before the first [section]", key.trim());
                unreadable.push(Unreadable { line: number, problem });
            } else {
                settings.push(Setting {
                    section: section.clone(),
                    key: key.trim().to_owned(),
                    value: value.trim().to_owned(),
                    line: number,
                });
            }
        } else {
            unreadable.push(Unreadable {
                line: number,
                problem: format!("{line:?} is neither [section] nor key=value"),
            });
        }
    }
    (settings, unreadable)
}

fn is_comment(line: &str) -> bool {
    line.starts_with(['#', ';'])
}

/// The words of a value, quotes taken off.
pub fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in value.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String, String)> {
        let (settings, unreadable) = parse(text);
        assert_eq!(unreadable, []);
        settings.into_iter().map(|s| (s.section, s.key, s.value)).collect()
    }

    #[test]
    fn sections_comments_and_continued_lines_are_read() {
        let text = "\u{feff}# a\r\n[Unit]\r\nAfter = a.service \\\r\n; in between\r\n  b.service\r\n\r\n[Install]\r\nAlias=\r\n";
        let want = [("Unit", "After", "a.service b.service"), ("Install", "Alias", "")];
        let want: Vec<_> =
            want.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())).collect();
        assert_eq!(pairs(text), want);
    }

    #[test]
    fn lines_that_are_nothing_are_reported_with_their_number() {
        let (_, unreadable) = parse("Key=early\n[Unit\n[Unit]\nnonsense\n");
        assert_eq!(unreadable.iter().map(|u| u.line).collect::<Vec<_>>(), [1, 2, 4]);
    }

    #[test]
    fn a_file_that_ends_in_the_middle_of_a_value_is_read() {
        assert_eq!(pairs("[A]\nB=c \\").len(), 1);
    }

    #[test]
    fn quotes_keep_a_word_together() {
        assert_eq!(words("/bin/x 'a b' \"c\"d  e"), ["/bin/x", "a b", "cd", "e"]);
        assert_eq!(words("\"\" ''"), ["", ""]);
        assert!(words(" \t").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]=#;\\\\a\" \n\r]{0,60}") {
            let (settings, _) = parse(&text);
            for setting in settings {
                words(&setting.value);
            }
        }
    }
}
