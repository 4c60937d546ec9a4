//! "Did you mean": the nearest word of a list, if one is near enough.

/// The candidate that `word` most likely stands for.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = plain(word);
    if wanted.is_empty() || wanted.len() > 64 {
        return None;
    }
    let scored = candidates.into_iter().map(|candidate| {
        let plain = plain(candidate);
        (strsim::damerau_levenshtein(&wanted, &plain), plain.len(), candidate)
    });
    let (distance, length, candidate) = scored.min()?;
    // A third of the word may be wrong; of a word of three letters, one.
    let near = distance <= (length.min(wanted.len()) / 3).max(1);
    near.then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_capitals_and_hyphens_lead_to_the_word() {
        let words = ["region", "code", "time_zone", "id"];
        assert_eq!(nearest("regoin", words), Some("region"));
        assert_eq!(nearest("Region", words), Some("region"));
        assert_eq!(nearest("timezone", words), Some("time_zone"));
        assert_eq!(nearest("time-zone", words), Some("time_zone"));
    }

    #[test]
    fn another_word_leads_nowhere() {
        assert_eq!(nearest("hostname", ["region", "code"]), None);
        assert_eq!(nearest("", ["id"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), ["id"]), None);
    }
}
