//! The names in a board's facts that have a rule of their own; a checked one cannot be made unchecked.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Word;

macro_rules! name {
    ($(#[$doc:meta])+ $name:ident, $rule:expr, $expected:literal) => {
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let rule: fn(&str) -> bool = $rule;
                if rule(&text) {
                    Ok(Self(text))
                } else {
                    Err(format!(concat!("{:?} is not allowed here; expected ", $expected), shortened(&text)))
                }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = String;

            fn try_from(text: &str) -> Result<Self, String> {
                Self::try_from(text.to_owned())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.0)
            }
        }
    };
}

name!(
    /// A board's name: its folder under `board/`, its file on the box.
    BoardName,
    Word::is_word,
    "a board's name: 1 to 32 of a-z, 0-9 and hyphens"
);
name!(
    /// One entry of a device tree's root `compatible`.
    Compatible,
    |text| of(text, 64, |c| c.is_ascii_alphanumeric() || ",.-_+".contains(c)),
    "a device tree's compatible, as in \"linux,dummy-virt\""
);
name!(
    /// A console with its options, as the kernel's `console=` wants it.
    Console,
    |text| of(text, 32, |c| c.is_ascii_alphanumeric() || c == ',') && !text.starts_with(','),
    "a console, as in \"ttyS0,115200\""
);
name!(
    /// One argument for the kernel: quoted nowhere on its way through U-Boot, so of harmless characters only.
    Argument,
    |text| of(text, 64, |c| c.is_ascii_alphanumeric() || "=._-,".contains(c)) && !text.starts_with("stayput."),
    "a kernel argument, as in \"kpti=off\" (stayput. is the image's own)"
);
name!(
    /// The label of a GPIO chip. Chip numbers differ between kernels and boards, labels do not.
    ChipLabel,
    |text| of(text, 32, |c| c.is_ascii_graphic()) && !text.starts_with("gpiochip"),
    "a GPIO chip's label, as in \"1c20800.pinctrl\" (not gpiochip0: numbers change)"
);
name!(
    /// The device-tree path of a bus controller.
    BusName,
    |text| of(text, 128, |c| c.is_ascii_alphanumeric() || "/@,.-_+".contains(c)) && text.starts_with('/'),
    "the device-tree path of a bus, as in \"/soc/i2c@1c2ac00\""
);
name!(
    /// A kernel module's name, without folder and ending.
    ModuleName,
    |text| of(text, 64, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
    "a module's name without folder and ending, as in \"sunxi-mmc\""
);
name!(
    /// A path inside a package: relative, and staying inside.
    RelativePath,
    |text| {
        of(text, 512, |c| c.is_ascii_graphic())
            && text.split('/').all(|step| !matches!(step, "" | "." | ".."))
    },
    "a relative path without '..', as in \"usr/lib/file\""
);

impl ModuleName {
    /// The form in which names are compared: the kernel takes `-` and `_` for the same.
    pub fn normal(&self) -> String {
        self.0.replace('-', "_")
    }
}

fn of(text: &str, longest: usize, allowed: fn(char) -> bool) -> bool {
    !text.is_empty() && text.len() <= longest && text.chars().all(allowed)
}

/// A message is for a person; a megabyte of someone's mistake is not.
fn shortened(text: &str) -> String {
    if text.chars().count() <= 80 {
        text.to_owned()
    } else {
        text.chars().take(77).chain("...".chars()).collect()
    }
}
