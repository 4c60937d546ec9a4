//! Debian control text (deb822): paragraphs of `Field: value` lines, as in Packages, Release and *.sources files.

/// One paragraph; values are slices of the text, continuation lines included.
#[derive(Debug, Clone)]
pub struct Paragraph<'a> {
    text: &'a str,
    /// Line of the first field, from 1.
    pub line: usize,
    fields: Vec<Field<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Field<'a> {
    name: &'a str,
    start: usize,
    end: usize,
    line: usize,
}

/// A line that is no control text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what was expected.
    pub reason: String,
}

impl<'a> Paragraph<'a> {
    /// A field's value without its outer white space; names match in any case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.field(name).map(|field| self.text[field.start..field.end].trim())
    }

    /// The line where a field starts (the paragraph's own line if there is no such field).
    pub fn line_of(&self, name: &str) -> usize {
        self.field(name).map_or(self.line, |field| field.line)
    }

    fn field(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }
}

/// The paragraphs of a text, read one after the other. Comment lines (`#`) between fields and a BOM are skipped.
#[derive(Debug)]
pub struct Paragraphs<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

/// Starts reading.
pub fn paragraphs(text: &str) -> Paragraphs<'_> {
    Paragraphs { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0, line: 0 }
}

impl<'a> Paragraphs<'a> {
    /// The next line without its ending, and where it starts.
    fn next_line(&mut self) -> Option<(usize, &'a str)> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let line = rest.split('\n').next().unwrap_or(rest);
        self.at = start + line.len() + 1;
        self.line += 1;
        Some((start, line.strip_suffix('\r').unwrap_or(line)))
    }

    fn fail(&mut self, reason: impl Into<String>) -> ControlError {
        self.at = self.text.len();
        ControlError { line: self.line, reason: reason.into() }
    }
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Result<Paragraph<'a>, ControlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut paragraph: Option<Paragraph<'a>> = None;
        while let Some((start, line)) = self.next_line() {
            if line.trim().is_empty() {
                if paragraph.is_some() {
                    break;
                }
                continue;
            }
            if line.starts_with('#') {
                continue;
            }
            if line.starts_with([' ', '\t']) {
                let Some(field) = paragraph.as_mut().and_then(|paragraph| paragraph.fields.last_mut()) else {
                    return Some(Err(self.fail("a continuation line without a field before it")));
                };
                field.end = start + line.len();
                continue;
            }
            let Some((name, value)) = line.split_once(':') else {
                return Some(Err(self.fail("expected 'Field: value'")));
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Some(Err(self.fail("expected a field name before the colon")));
            }
            let paragraph = paragraph.get_or_insert_with(|| Paragraph {
                text: self.text,
                line: self.line,
                fields: Vec::with_capacity(24),
            });
            if paragraph.field(name).is_some() {
                return Some(Err(self.fail(format!("the field '{name}' is there twice"))));
            }
            let end = start + line.len();
            paragraph.fields.push(Field { name, start: end - value.len(), end, line: self.line });
        }
        paragraph.map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<Paragraph<'_>>, ControlError> {
        paragraphs(text).collect()
    }

    #[test]
    fn paragraphs_are_parted_by_empty_lines() {
        let text = "\n\nPackage: a\nVersion: 1\n\n \t\n\nPackage: b\n";
        let found = read(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].get("version"), Some("1"));
        assert_eq!((found[1].line, found[1].get("Package")), (8, Some("b")));
        assert_eq!(found[1].get("Version"), None);
    }

    #[test]
    fn a_value_runs_over_its_continuation_lines() {
        let found = read("SHA256:\n aa 1 x\n bb 2 y\nDate: now\n").unwrap();
        assert_eq!(found[0].get("SHA256"), Some("aa 1 x\n bb 2 y"));
        assert_eq!((found[0].get("Date"), found[0].line_of("Date")), (Some("now"), 4));
    }

    #[test]
    fn windows_line_ends_a_bom_and_comments_do_not_matter() {
        let found = read("\u{feff}# a comment\r\nTypes: deb\r\n# another\r\nURIs: file:/x\r\n\r\n").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].get("Types"), found[0].get("URIs")), (Some("deb"), Some("file:/x")));
    }

    #[test]
    fn an_empty_text_has_no_paragraph() {
        assert!(read("").unwrap().is_empty());
        assert!(read("\u{feff}").unwrap().is_empty());
        assert!(read("# only a comment").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_field_is_named_by_its_line() {
        assert_eq!(read("A: 1\n<html>\n").unwrap_err().line, 2);
        assert!(read(" indented\n").unwrap_err().reason.contains("continuation"));
        assert!(read("A: 1\na: 2\n").unwrap_err().reason.contains("twice"));
        assert!(read(": 1\n").unwrap_err().reason.contains("field name"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = read(&text);
        }

        #[test]
        fn fields_come_back_as_they_were_written(names in proptest::collection::btree_set("[A-Z][a-z]{1,6}", 1..8), value in "[a-z0-9 ]{0,12}") {
            let text: String = names.iter().map(|name| format!("{name}: {value}\n")).collect();
            let found = read(&text).unwrap();
            for name in &names {
                prop_assert_eq!(found[0].get(name), Some(value.trim()));
            }
        }
    }
}
