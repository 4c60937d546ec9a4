//! The `stayput.toml` of a box on a desk.

use stayput_region::{Region, simulator::Activation};

use crate::Queue;

/// What the worker is told beyond its queue.
#[derive(Debug, Clone, Default)]
pub struct Worker {
    /// What is put behind a processed file's name; the box's usual if none.
    pub suffix: Option<String>,
    /// From which buckets files may come in.
    pub buckets: Vec<String>,
}

/// What is on the card.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The box's name.
    pub name: String,
    /// The activation's id.
    pub id: String,
    /// The activation's code.
    pub code: String,
    /// The region's code.
    pub region: String,
    /// What the region's hosts end in.
    pub suffix: String,
    /// The region's authority, in PEM.
    pub authority: String,
    /// The name of the queue.
    pub queue: String,
    /// Whose key opens the door for adding and for collecting; no door without one.
    pub door: Option<String>,
    /// What else the worker is told.
    pub worker: Worker,
}

impl Settings {
    /// For this region and an activation of it.
    pub fn of(region: &Region, name: &str, suffix: &str, activation: &Activation) -> Self {
        Self {
            name: "stayput-1".to_owned(),
            id: activation.id.clone(),
            code: activation.code.clone(),
            region: name.to_owned(),
            suffix: suffix.to_owned(),
            authority: region.authority().to_owned(),
            queue: "orders".to_owned(),
            door: None,
            worker: Worker::default(),
        }
    }

    /// As a file for the card.
    pub fn to_toml(&self) -> String {
        let Self { name, id, code, region, suffix, authority, queue, door, worker } = self;
        let url = Queue::url(region, suffix, queue);
        let mut text = format!(
            r#"# Made for this desk: its region, its names, its time and its authority are all at 10.0.2.2.
version = 1

[device]
name = "{name}"
ntp = ["10.0.2.2"]

[network]
dns = ["10.0.2.2"]
ca = ["""
{authority}"""]

[activation]
region = "{region}"
id = "{id}"
code = "{code}"

[worker]
runtime = "host"
queue = "{url}"
"#
        );
        if let Some(suffix) = &worker.suffix {
            text += &format!("suffix = \"{suffix}\"\n");
        }
        for bucket in &worker.buckets {
            text += &format!("\n[[worker.s3]]\nbucket = \"{bucket}\"\n");
        }
        if let Some(key) = door {
            text += &format!("\n[drop]\nkeys = [\"{key}\"]\ncollect_keys = [\"{key}\"]\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_region::Plan;

    #[test]
    fn what_a_desk_writes_the_box_can_read() {
        let region = Region::start(Plan::on_loopback("eu-central-1")).unwrap();
        let activation = region.simulator().activate(1, jiff::Timestamp::MAX);
        let mut settings = Settings::of(&region, "eu-central-1", "amazonaws.com", &activation);
        settings.door = Some(format!(
            "ssh-ed25519 {} a person",
            "AAAAC3NzaC1lZDI1NTE5AAAAI".to_owned() + &"A".repeat(43)
        ));
        settings.worker =
            Worker { suffix: Some("_seen".to_owned()), buckets: vec!["inbound-files".to_owned()] };
        let text = settings.to_toml();
        let read = stayput_config::read(text.as_bytes(), "stayput.toml");
        assert!(read.is_ok(), "{read:?}\n{text}");
        let worker = &read.unwrap().config.worker;
        assert_eq!((worker.suffix.as_str(), worker.s3.len()), ("_seen", 1), "{text}");
    }
}
