//! Soft dependencies: what a module would like to have loaded before or after it.
//!
//! Unlike `depends`, a soft dependency names anything that modprobe takes (a module or an alias), and the
//! kernel goes on without it. On this kernel one of them is no wish at all: ext4 asks the crypto layer
//! for "crc32c" when it mounts, and the only provider is a module.

/// The soft dependencies of one module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SoftDependencies {
    /// To be there before.
    pub pre: Vec<String>,
    /// To be loaded after.
    pub post: Vec<String>,
}

impl SoftDependencies {
    /// Adds one `softdep=` record: `pre: a b post: c`.
    ///
    /// Words before the first `pre:` or `post:` mean nothing to modprobe (cifs has such), so they
    /// mean nothing here.
    pub fn add(&mut self, record: &str) {
        let mut list = None;
        for word in record.split_ascii_whitespace() {
            match (word, &mut list) {
                ("pre:", _) => list = Some(&mut self.pre),
                ("post:", _) => list = Some(&mut self.post),
                (name, Some(list)) => list.push(name.to_owned()),
                (_, None) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(record: &str) -> SoftDependencies {
        let mut soft = SoftDependencies::default();
        soft.add(record);
        soft
    }

    #[test]
    fn a_record_may_name_several_before_and_after() {
        let soft = of("pre: a b post: c\tpre: d");
        assert_eq!((soft.pre, soft.post), (vec!["a".into(), "b".into(), "d".into()], vec!["c".into()]));
    }

    #[test]
    fn words_outside_both_lists_are_nothing() {
        assert_eq!(of("gcm ccm"), SoftDependencies::default());
        assert_eq!(of(""), SoftDependencies::default());
        assert_eq!(of("pre:"), SoftDependencies::default());
    }
}
