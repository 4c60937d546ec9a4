//! Names for a fleet: one pattern, counted.

use crate::finding::Flaw;
use crate::types::DeviceName;

/// An activation registers at most so many (facts/ecs-anywhere.md A).
const MOST: u32 = 1000;

/// `count` names after `pattern`, whose `{n}` is replaced by numbers from `first` on, all of the same width.
pub fn names(pattern: &str, first: u32, count: u32) -> Result<Vec<DeviceName>, Flaw> {
    if count == 0 || count > MOST {
        let remedy = format!("ask for 1 to {MOST}: an activation registers no more");
        return Err(Flaw::new(format!("asks for {count} names"), remedy));
    }
    if pattern.matches("{n}").count() != 1 {
        return Err(Flaw::new(
            "does not hold {n} once, the place of the number",
            "write the names' pattern like box-{n}",
        ));
    }
    let Some(last) = first.checked_add(count - 1) else {
        return Err(Flaw::new("counts beyond the numbers there are", "begin at a smaller number"));
    };
    let width = last.to_string().len();
    (first..=last).map(|number| pattern.replace("{n}", &format!("{number:0width$}")).parse()).collect()
}

#[cfg(test)]
mod tests {
    use super::names;

    fn texts(pattern: &str, first: u32, count: u32) -> Vec<String> {
        names(pattern, first, count).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn numbers_have_the_same_width_so_that_names_sort() {
        assert_eq!(texts("box-{n}", 9, 2), ["box-09", "box-10"]);
        assert_eq!(texts("{n}-east", 1, 1), ["1-east"]);
    }

    #[test]
    fn a_pattern_without_a_place_for_the_number_is_refused() {
        assert!(names("box", 1, 2).is_err());
        assert!(names("box-{n}-{n}", 1, 2).is_err());
    }

    #[test]
    fn counts_that_no_activation_has_and_names_that_no_host_has_are_refused() {
        assert!(names("box-{n}", 1, 0).is_err());
        assert!(names("box-{n}", 1, 1001).is_err());
        assert!(names("box-{n}", u32::MAX, 2).is_err());
        assert!(names("Box_{n}", 1, 2).is_err());
    }
}
