//! What is handed to systemd on the box from outside: units as credentials over fw_cfg.
//!
//! PID 1 takes every fw_cfg file below `opt/io.systemd.credentials/` as a system credential; its debug
//! generator makes units of `systemd.extra-unit.*` and drop-ins of `systemd.unit-dropin.*`. A real board has no
//! fw_cfg, and the image carries nothing for it.

use crate::error::{Error, Result};

/// Where PID 1 looks. 27 characters of the 55 that fw_cfg allows for a name.
const PREFIX: &str = "opt/io.systemd.credentials/";
const NAME_LIMIT: usize = 55;

/// Where the probe's disk is mounted on the box.
const MOUNT: &str = "/run/probe";
/// The probe's disk on the box: the second on the bus, after the card. The initramfs has loaded the driver,
/// so it is there before udev has given anything a name.
const DISK: &str = "/dev/vdb";

/// One credential: a name that fits and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    name: String,
    /// What the box reads.
    pub content: Vec<u8>,
}

impl Credential {
    /// Any credential, `network.dns` or `systemd.extra-unit.x.service` alike.
    pub fn new(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || PREFIX.len() + name.len() > NAME_LIMIT {
            return Err(Error::CredentialName { length: name.len(), name });
        }
        Ok(Self { name, content: content.into() })
    }

    /// A unit that exists on this machine only. Nothing starts it: see [`Credential::dropin`].
    pub fn unit(name: &str, text: &str) -> Result<Self> {
        Self::new(format!("systemd.extra-unit.{name}"), text)
    }

    /// A drop-in for a unit that the image has.
    pub fn dropin(unit: &str, text: &str) -> Result<Self> {
        Self::new(format!("systemd.unit-dropin.{unit}"), text)
    }

    /// The name without the prefix; also the name of its file on the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name for QEMU's `-fw_cfg`.
    pub fn firmware_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

/// What brings the probe up: a service pulled in by the root slice, which every boot activates. It waits for
/// nothing and nothing waits for it, so the boot under test stays as it is. The image has no fstab generator,
/// and a mount unit's name does not fit into fw_cfg: hence `mount` as the service's first step. systemd sees that
/// mount and ends it at a shutdown: `After` makes that wait for the program which lives on it.
pub fn for_the_probe() -> Vec<Credential> {
    let service = format!(
        "[Unit]\n\
         Description=The tests' eyes inside the box\n\
         DefaultDependencies=no\n\
         After=run-probe.mount\n\
         Conflicts=shutdown.target\n\
         Before=shutdown.target\n\
         StartLimitIntervalSec=0\n\
         [Service]\n\
         Type=exec\n\
         ExecStartPre=/usr/bin/mount --mkdir -t squashfs -o ro {DISK} {MOUNT}\n\
         ExecStart={MOUNT}/stayput-probe\n\
         Restart=always\n\
         RestartSec=1\n\
         OOMScoreAdjust=-1000\n"
    );
    let made =
        [Credential::unit("p.service", &service), Credential::dropin("-.slice", "[Unit]\nWants=p.service\n")];
    made.into_iter().collect::<Result<_>>().expect("both names are shorter than the limit: a test says so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_own_credentials_fit_into_fw_cfg() {
        let names: Vec<_> = for_the_probe().iter().map(Credential::firmware_name).collect();
        assert_eq!(names[0], "opt/io.systemd.credentials/systemd.extra-unit.p.service");
        assert!(names.iter().all(|name| name.len() <= NAME_LIMIT), "{names:?}");
    }

    #[test]
    fn a_name_that_fw_cfg_would_cut_is_refused_with_the_room_there_is() {
        assert!(Credential::unit("p.service", "").is_ok());
        let error = Credential::unit("pp.service", "").unwrap_err().to_string();
        assert!(error.contains("systemd.extra-unit.pp.service") && error.contains("leaves 28"), "{error}");
        assert!(Credential::new("", "").is_err());
    }
}
