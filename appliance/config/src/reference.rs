//! The reference page and the commented example, both made from the table of keys.

use std::fmt::Write;

use crate::draft::Draft;
use crate::keys::{self, KEYS, Key, Presence, SECTIONS, Secrecy};

/// The commented example: everything that is needed set, everything else a remark. It is read without an error.
pub fn example() -> String {
    let mut draft = Draft::new();
    let shown = KEYS.iter().filter(|key| key.presence == Presence::Required && !is_repeated(key));
    for key in shown.copied().chain([&keys::ECS_CLUSTER]) {
        draft.set(key, key.example.trim_matches('"'));
    }
    draft.render()
}

fn is_repeated(key: &Key) -> bool {
    keys::section(key.section).is_some_and(|section| section.repeated)
}

const INTRODUCTION: &str = r##"# stayput.toml

<!-- Made from appliance/config/src/keys.rs. To change it, change the table and run:
     STAYPUT_WRITE_DOCS=1 cargo test -p stayput-config --test documents -->

The one file that a person puts on the card's partition `STAYPUT`. It is plain text; `docs/stayput.toml.example` is one
to fill in, `stayput config new` makes one, `stayput config check FILE` looks at one before the card travels.

## How it is written

- `[section]` stands in a line of its own, its keys below it. `name = value` is one key. `#` begins a remark.
- A text stands in quotation marks, a number, `true` and `false` do not. A list stands in square brackets.
- The line ends of Windows, a byte order mark, tabs, and blanks at line ends are all right. The encoding is UTF-8.
- A key or section that is not on this page is an error, never passed over in silence.
- The file has at most 256 KiB.

Every error names file, line and column, says what stands there, what was expected and what to do; all errors come at
once, in the order of the file:

```text
stayput.toml:9:10: error: [activation] region = "eu-cental-1" is no region
    expected: a region's code
    remedy:   did you mean "eu-central-1"?
```

What could be a secret is never repeated in a message: not the activation's code and id, not the proxy's URL, nothing
that looks like a code, wherever it stands.

## Secrets
"##;

/// The page `docs/config.md`.
pub fn page() -> String {
    let mut out = INTRODUCTION.to_owned();
    out.push('\n');
    for key in KEYS {
        if let Secrecy::Secret(how_long) = key.secrecy {
            let _ = writeln!(out, "- `{key}`: {how_long}.");
        }
    }
    out.push_str(
        "\nFlash memory and editors keep copies; what protects a used activation is that it is used up.\n",
    );
    for section in SECTIONS {
        let title = match (section.name, section.repeated) {
            ("", _) => "The top of the file".to_owned(),
            (name, true) => format!("`[[{name}]]`"),
            (name, false) => format!("`[{name}]`"),
        };
        let _ = write!(out, "\n## {title}\n\n");
        if !section.about.is_empty() {
            let _ = writeln!(out, "{}\n", section.about);
        }
        if section.repeated {
            let _ = writeln!(out, "May be there more than once.\n");
        }
        out.push_str("| key | value | without it | what it does |\n|---|---|---|---|\n");
        for key in keys::keys_of(section.name) {
            let without = match key.presence {
                Presence::Required => "an error".to_owned(),
                Presence::Optional(what) => what.to_owned(),
                Presence::NeededWith(what) => format!("an error with {what}"),
            };
            let (name, form, about) = (key.name, cell(key.form), cell(key.about));
            let _ = writeln!(out, "| `{name}` | {form} | {without} | {about} |");
        }
        out.push_str("\n```toml\n");
        if !section.name.is_empty() {
            let (open, close) = if section.repeated { ("[[", "]]") } else { ("[", "]") };
            let _ = writeln!(out, "{open}{}{close}", section.name);
        }
        for key in keys::keys_of(section.name) {
            let _ = writeln!(out, "{} = {}", key.name, key.example);
        }
        out.push_str("```\n");
    }
    out.push_str(RULES);
    out
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

const RULES: &str = r##"
## What must go together

Refused:

- `method = "static"` without `address`, `gateway` and `dns`; `address` or `gateway` with DHCP; a gateway outside the
  box's network.
- `runtime = "ecs"`, the default, without `[ecs] cluster`; `runtime = "host"` without `queue`.
- A queue in another region than the activation.
- Source and destination inside each other, the same with an empty suffix, or the same with `collect_keys`.
- `http://` without `plain_http = true`.
- Two lights on one line or with one name; the same bucket and prefix twice.

Taken with a warning: a proxy and no time server of one's own, a proxy password, `no_proxy` without a proxy, a door that
is open to everywhere, one SSH key for both doors, `from` without a key, `plain_http`, an ECS endpoint on another port
than 443, `[access] keys` in an image that lets nobody in.

Only a desk can say, and `stayput config check` does: an activation that has ended or soon will, an end more than 30
days away, a region that this program does not know, a time zone that the tz database does not have, a code that is used.

## `stayput config`

```sh
stayput config check stayput.toml             # 0: good; 2: refused
stayput config new -o stayput.toml            # asks on a terminal
stayput config new --name box-1 --region eu-central-1 --activation activation.json --expires 2030-12-24 \
    --cluster stayput --set network.proxy=http://proxy.example.com:3128 -o stayput.toml
stayput config new --count 20 --name 'box-{n}' --activation activation.json ... -o fleet/
```

`activation.json` is what `aws ssm create-activation` prints; `-` reads it from standard input. So the code is in no
command line and no shell history. Files are written for their owner alone, and none is overwritten without `--force`.
With `--count` the folder gets one file for each box, and the activation must allow as many registrations
(`--registration-limit`).
"##;
