//! Words for a person at a terminal, or a script: one line changes one thing in a region that runs.

use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::SignedDuration;

use crate::fault::Fault;
use crate::names::Manner;
use crate::{Chain, Cut, Region};

/// A word with what may follow it and what it does.
struct Word {
    word: &'static str,
    follow: &'static str,
    does: &'static str,
    act: fn(&Region, &[&str]) -> Option<String>,
}

const WORDS: &[Word] = &[
    Word { word: "next", follow: "NAME FAULT", does: "the next call of NAME meets FAULT", act: next },
    Word { word: "times", follow: "N NAME FAULT", does: "the next N calls do", act: times },
    Word { word: "always", follow: "NAME FAULT", does: "every call does, until clear", act: always },
    Word { word: "clear", follow: "NAME", does: "nothing happens to NAME any more; * is all", act: clear },
    Word {
        word: "cut",
        follow: "refused|silent|reset|off",
        does: "the region goes away, or comes back",
        act: cut,
    },
    Word {
        word: "certificate",
        follow: "good|stranger|expired|early|other-name",
        does: "what the front door shows; stranger is interception",
        act: certificate,
    },
    Word { word: "latency", follow: "SECONDS", does: "every answer is so much later", act: latency },
    Word { word: "clock", follow: "SECONDS", does: "the region's clock is so far ahead", act: clock },
    Word { word: "time", follow: "SECONDS|silent", does: "the time service is, beyond that", act: time },
    Word {
        word: "names",
        follow: "honest|silent|failing|ADDRESS",
        does: "how names are answered",
        act: names,
    },
    Word { word: "expire", follow: "", does: "every credential given so far ends", act: expire },
    Word { word: "drop", follow: "INSTANCE", does: "an instance is deregistered", act: deregister },
    Word { word: "new-key", follow: "INSTANCE", does: "an instance is asked for a new key", act: new_key },
    Word {
        word: "activation",
        follow: "[BOXES [HOURS]]",
        does: "makes another activation, good for a day or HOURS from now",
        act: activation,
    },
    Word { word: "tally", follow: "", does: "what was done so far", act: tally },
];

/// A fault from what stands behind the colon.
type Make = fn(&str) -> Option<Fault>;

/// Faults by their words; those with a value take it behind a colon.
const FAULTS: &[(&str, Make)] = &[
    ("late", |value| Some(Fault::Late(seconds(value)?))),
    ("refused", |value| (!value.is_empty()).then(|| Fault::refused(value))),
    ("page", |value| Some(Fault::Page(value.parse().ok().filter(|status| (400..600).contains(status))?))),
    ("lost-before", |value| value.is_empty().then_some(Fault::LostBefore)),
    ("lost-after", |value| value.is_empty().then_some(Fault::LostAfter)),
    ("torn", |value| value.is_empty().then_some(Fault::Torn)),
    ("reset", |value| value.is_empty().then_some(Fault::Reset)),
    ("garbled", |value| value.is_empty().then_some(Fault::Garbled)),
];

/// Does what a line says. `Ok` is what to print, `Err` what is wrong with the line.
pub fn obey(region: &Region, line: &str) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return Ok(String::new()) };
    let Some(word) = WORDS.iter().find(|word| word.word == first) else {
        return Err(format!("there is no word '{first}'\n{}", help()));
    };
    let values: Vec<&str> = words.collect();
    (word.act)(region, &values).ok_or_else(|| format!("it is: {} {}", word.word, word.follow))
}

/// All words and faults.
pub fn help() -> String {
    let mut text = String::new();
    for Word { word, follow, does, .. } in WORDS {
        text += &format!("  {:<50} {does}\n", format!("{word} {follow}"));
    }
    let faults: Vec<&str> = FAULTS.iter().map(|(word, _)| *word).collect();
    text + &format!(
        "NAME is a service (ssm, sqs, …), a call (RegisterManagedInstance, …) or *.\nFAULT is one of {}; late:SECONDS, refused:ERROR and page:STATUS have a value.\n",
        faults.join(", ")
    )
}

fn fault(word: &str) -> Option<Fault> {
    let (name, value) = word.split_once(':').unwrap_or((word, ""));
    FAULTS.iter().find(|(of, _)| *of == name).and_then(|(_, make)| make(value))
}

fn seconds(word: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(word.parse().ok()?).ok()
}

fn ahead(word: &str) -> Option<SignedDuration> {
    SignedDuration::try_from_secs_f64(word.parse().ok()?).ok()
}

fn done() -> Option<String> {
    Some("done".to_owned())
}

fn next(region: &Region, values: &[&str]) -> Option<String> {
    let [name, word] = values else { return None };
    region.script().next(name, fault(word)?);
    done()
}

fn times(region: &Region, values: &[&str]) -> Option<String> {
    let [times, name, word] = values else { return None };
    region.script().times(name, fault(word)?, times.parse().ok().filter(|times| *times > 0)?);
    done()
}

fn always(region: &Region, values: &[&str]) -> Option<String> {
    let [name, word] = values else { return None };
    region.script().always(name, fault(word)?);
    done()
}

fn clear(region: &Region, values: &[&str]) -> Option<String> {
    let [name] = values else { return None };
    region.script().clear(name);
    done()
}

fn cut(region: &Region, values: &[&str]) -> Option<String> {
    region.cut(match values {
        ["off"] => Cut::None,
        ["refused"] => Cut::Refused,
        ["silent"] => Cut::Silent,
        ["reset"] => Cut::Reset,
        _ => return None,
    });
    done()
}

fn certificate(region: &Region, values: &[&str]) -> Option<String> {
    region.show(match values {
        ["good"] => Chain::Good,
        ["stranger"] => Chain::Stranger,
        ["expired"] => Chain::Expired,
        ["early"] => Chain::Early,
        ["other-name"] => Chain::OtherName,
        _ => return None,
    });
    done()
}

fn latency(region: &Region, values: &[&str]) -> Option<String> {
    let [value] = values else { return None };
    region.latency(seconds(value)?);
    done()
}

fn clock(region: &Region, values: &[&str]) -> Option<String> {
    let [value] = values else { return None };
    region.clock().skew(ahead(value)?);
    Some(format!("it is {} in the region", region.clock().now()))
}

fn time(region: &Region, values: &[&str]) -> Option<String> {
    let [value] = values else { return None };
    region.tell_time(if *value == "silent" { None } else { Some(ahead(value)?) });
    done()
}

fn names(region: &Region, values: &[&str]) -> Option<String> {
    region.answer_names(match values {
        ["honest"] => Manner::Honest,
        ["silent"] => Manner::Silent,
        ["failing"] => Manner::Failing,
        [address] => Manner::All(address.parse::<Ipv4Addr>().ok()?),
        _ => return None,
    });
    done()
}

fn expire(region: &Region, values: &[&str]) -> Option<String> {
    region.simulator().expire_sessions();
    values.is_empty().then(done)?
}

fn known<'a>(region: &Region, values: &[&'a str]) -> Option<&'a str> {
    let [id] = values else { return None };
    region.simulator().instances().iter().any(|instance| instance.id == *id).then_some(*id)
}

fn deregister(region: &Region, values: &[&str]) -> Option<String> {
    region.simulator().deregister(known(region, values)?);
    done()
}

fn new_key(region: &Region, values: &[&str]) -> Option<String> {
    region.simulator().ask_for_key(known(region, values)?);
    done()
}

fn activation(region: &Region, values: &[&str]) -> Option<String> {
    let (boxes, hours) = match values {
        [] => (1, 24),
        [boxes] => (boxes.parse().ok()?, 24),
        // Less than none is one that has expired.
        [boxes, hours] => (boxes.parse().ok()?, i64::from(hours.parse::<i16>().ok()?)),
        _ => return None,
    };
    let until = region.clock().now().saturating_add(SignedDuration::from_hours(hours)).ok()?;
    let made = region.simulator().activate(boxes, until);
    Some(format!("id   {}\ncode {}", made.id, made.code))
}

fn tally(region: &Region, values: &[&str]) -> Option<String> {
    let tally = region.simulator().tally();
    let mut text = format!(
        "registrations {}, instances {}, tokens {}, keys changed {}, signs of life {}",
        tally.registrations, tally.instances, tally.tokens, tally.keys, tally.pings
    );
    for instance in region.simulator().instances() {
        text += &format!("\n{}: {} tokens", instance.id, instance.tokens);
    }
    for (name, count) in tally.refused {
        text += &format!("\nrefused {name}: {count}");
    }
    for complaint in region.simulator().complaints() {
        text += &format!("\nno honest client does this: {complaint}");
    }
    values.is_empty().then_some(text)
}
