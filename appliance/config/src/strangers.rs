//! Keys and sections that the table does not know, and where they may belong.

use toml::de::{DeTable, DeValue};

use crate::finding::Problem;
use crate::keys::{self, KEYS, Key, SECTIONS};
use crate::sheet::Sheet;
use crate::suggest::nearest;

/// What people write, from the words of other tools, and what it is called here.
const ALIASES: &[(&str, &Key)] = &[
    ("hostname", &keys::DEVICE_NAME),
    ("host_name", &keys::DEVICE_NAME),
    ("tz", &keys::DEVICE_TIME_ZONE),
    ("ntp_servers", &keys::DEVICE_NTP),
    ("dhcp", &keys::NETWORK_METHOD),
    ("ip", &keys::NETWORK_ADDRESS),
    ("ip_address", &keys::NETWORK_ADDRESS),
    ("netmask", &keys::NETWORK_ADDRESS),
    ("router", &keys::NETWORK_GATEWAY),
    ("dns_servers", &keys::NETWORK_DNS),
    ("nameservers", &keys::NETWORK_DNS),
    ("http_proxy", &keys::NETWORK_PROXY),
    ("https_proxy", &keys::NETWORK_PROXY),
    ("ca_file", &keys::NETWORK_CA),
    ("aws_region", &keys::ACTIVATION_REGION),
    ("activation_id", &keys::ACTIVATION_ID),
    ("activation_code", &keys::ACTIVATION_CODE),
    ("expiry", &keys::ACTIVATION_EXPIRES),
    ("expiration", &keys::ACTIVATION_EXPIRES),
    ("ecs_cluster", &keys::ECS_CLUSTER),
    ("cluster_name", &keys::ECS_CLUSTER),
    ("queue_url", &keys::WORKER_QUEUE),
    ("sqs_queue_url", &keys::WORKER_QUEUE),
    ("efs_source_folder", &keys::WORKER_SOURCE),
    ("efs_destination_folder", &keys::WORKER_DESTINATION),
    ("bucket_name", &keys::WORKER_S3_BUCKET),
    ("ssh_keys", &keys::ACCESS_KEYS),
    ("authorized_keys", &keys::ACCESS_KEYS),
];

/// Notes every key and section that the table does not have.
pub(crate) fn find(sheet: &mut Sheet<'_>) {
    let root = sheet.root();
    for (name, value) in root {
        let (text, at) = (name.get_ref().as_ref(), name.span().start);
        if keys::keys_of("").any(|key| key.name == text) {
            continue;
        }
        match (keys::section(text).filter(|section| !section.name.is_empty()), value.get_ref()) {
            (Some(section), DeValue::Table(table)) => inside(sheet, section.name, table),
            // What is wrong with a section that is none is said where it is read.
            (Some(_), _) => {}
            (None, DeValue::Table(_)) => unknown_section(sheet, text, at),
            (None, DeValue::Array(rows)) if rows.iter().any(|row| row.get_ref().is_table()) => {
                unknown_section(sheet, text, at);
            }
            (None, _) => stranger(sheet, "", text, at),
        }
    }
}

fn inside(sheet: &mut Sheet<'_>, section: &'static str, table: &DeTable<'_>) {
    for (name, value) in table {
        let text = name.get_ref().as_ref();
        if keys::keys_of(section).any(|key| key.name == text) {
            continue;
        }
        let inner =
            SECTIONS.iter().find(|inner| inner.name.strip_prefix(section) == Some(&format!(".{text}")));
        match (inner, value.get_ref()) {
            (Some(inner), DeValue::Array(rows)) => {
                for row in rows.iter() {
                    if let DeValue::Table(table) = row.get_ref() {
                        inside(sheet, inner.name, table);
                    }
                }
            }
            (Some(_), _) => {}
            (None, _) => stranger(sheet, section, text, name.span().start),
        }
    }
}

fn unknown_section(sheet: &mut Sheet<'_>, text: &str, at: usize) {
    let names = SECTIONS.iter().filter(|section| !section.name.contains('.') && !section.name.is_empty());
    let remedy = match nearest(text, names.clone().map(|section| section.name)) {
        Some(name) => {
            sheet.meant(name);
            format!("did you mean [{name}]?")
        }
        None => "take it out, or put # before its lines".to_owned(),
    };
    let names: Vec<_> = names.map(|section| format!("[{}]", section.name)).collect();
    let problem = Problem::UnknownSection { name: sheet.shown_name(text) };
    sheet.error(at, problem, format!("one of {}", names.join(", ")), remedy);
}

fn stranger(sheet: &mut Sheet<'_>, section: &'static str, text: &str, at: usize) {
    let name = sheet.shown_name(text);
    let own: Vec<&str> = keys::keys_of(section).map(|key| key.name).collect();
    let expected = format!("one of {}", own.join(", "));
    let lower = text.to_ascii_lowercase();
    let homes: Vec<&Key> = KEYS.iter().copied().filter(|key| key.name == lower).collect();
    let is_own = homes.iter().any(|key| key.section == section);
    if let Some(first) = homes.first().filter(|_| !is_own) {
        let others: String = homes[1..].iter().map(|key| format!(" or [{}]", key.section)).collect();
        let remedy = match section {
            "" => format!("put it below the line [{}]{others}", first.section),
            _ => format!("move it below [{}]{others}", first.section),
        };
        let problem = Problem::Misplaced { name, section, belongs: first.section };
        sheet.error(at, problem, expected, remedy);
        return;
    }
    if let Some(key) = nearest(text, own.iter().copied()) {
        sheet.meant(&if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") });
        sheet.error(at, Problem::UnknownKey { name, section }, expected, format!("did you mean {key}?"));
        return;
    }
    let alias = ALIASES.iter().find(|(alias, _)| *alias == lower.replace('-', "_")).map(|&(_, key)| key);
    let near = || {
        let meant = nearest(text, KEYS.iter().map(|key| key.name))?;
        KEYS.iter().copied().find(|key| key.name == meant)
    };
    let remedy = match alias.or_else(near) {
        Some(key) => {
            sheet.meant(&key.path());
            format!("did you mean {key}?")
        }
        None => "take the line out, or put # before it".to_owned(),
    };
    sheet.error(at, Problem::UnknownKey { name, section }, expected, remedy);
}
