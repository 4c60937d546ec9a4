//! The words of a kernel command line.

/// The words of `line`: blanks part them outside double quotes, and `--` ends those for the kernel.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            c if c.is_ascii_whitespace() && !quoted => {
                words.push(std::mem::take(&mut word));
            }
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    if let Some(end) = words.iter().position(|word| word == "--") {
        words.truncate(end);
    }
    words
}
