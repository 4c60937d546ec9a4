//! What every part may know of the settings: a `stayput.toml` of its own, without code, password or anything else that is
//! the business of one part only. The lights and the screen read it.

use std::fmt::Write;

use serde::Serialize;
use stayput_config::Code;

use crate::intake::Settings;

pub(super) fn text(settings: &Settings) -> Option<String> {
    let config = &settings.config;
    let mut text =
        String::from("# Made from the settings in force, for parts that need no secret.\nversion = 1\n");
    let mut add = |what: std::fmt::Arguments<'_>| {
        // Memory is the only thing written to.
        let _ = text.write_fmt(what);
    };
    add(format_args!("\n[device]\nname = {}\n", quoted(config.device.name.as_str())));
    let activation = &config.activation;
    add(format_args!("\n[activation]\nregion = {}\n", quoted(activation.region.as_str())));
    add(format_args!("id = {}\ncode = {}\n", quoted(activation.id.as_str()), quoted(Code::MARK)));
    if let Some(cluster) = &config.ecs.cluster {
        add(format_args!("\n[ecs]\ncluster = {}\n", quoted(cluster.as_str())));
    }
    if let (true, Some(queue)) = (super::is_hosted(settings), &config.worker.queue) {
        add(format_args!("\n[worker]\nruntime = \"host\"\nqueue = {}\n", quoted(&queue.to_string())));
        if !queue.endpoint().is_tls() {
            add(format_args!("\n[endpoints]\nplain_http = true\n"));
        }
    }
    add(format_args!("\n[status]\nbrightness = {}\n", config.status.brightness));
    for led in &config.status.leds {
        add(format_args!("\n[[status.led]]\nname = {}\n", quoted(led.name.as_str())));
        add(format_args!("role = {}\nchip = {}\n", quoted(&led.role), quoted(led.chip.as_str())));
        add(format_args!("line = {}\ncolor = {}\n", led.line, quoted(&led.color)));
        add(format_args!("active_low = {}\nopen_drain = {}\n", led.active_low, led.open_drain));
    }
    Some(text)
}

/// A value as TOML writes it: what JSON puts between quotation marks, TOML reads.
fn quoted<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("texts and words of a closed list are JSON")
}
