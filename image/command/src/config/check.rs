//! `stayput config check FILE`: everything that is wrong, before the card travels.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context;
use stayput_config::{CaSource, Checked, Desk, Finding, LONGEST, Pem, Problem, Severity, read};

use super::{errors, listed};
use crate::cli::ConfigCheckArgs;
use crate::exit::{Code, Fault};

/// Looks at each file; any error refuses them all.
pub fn run(args: &ConfigCheckArgs, desk: &Desk<'_>) -> anyhow::Result<()> {
    let mut refused = 0;
    let mut text = String::new();
    for path in &args.files {
        let (findings, checked) = look(path, desk)?;
        text += &listed(&findings);
        match (errors(&findings), checked) {
            (0, Some(checked)) => {
                let config = &checked.config;
                text += &format!(
                    "{}: good: {} in {}\n",
                    path.display(),
                    config.device.name,
                    config.activation.region
                );
            }
            (errors, _) => {
                text += &format!("{}: refused, {errors} to mend\n", path.display());
                refused += 1;
            }
        }
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    if refused > 0 {
        let of =
            if args.files.len() == 1 { String::new() } else { format!(" {refused} of {}", args.files.len()) };
        return Err(Fault::new(Code::Usage, format!("refused{of}; what is wrong is said above")).into());
    }
    Ok(())
}

/// Everything that the file, the files beside it and the desk say.
fn look(path: &Path, desk: &Desk<'_>) -> anyhow::Result<(Vec<Finding>, Option<Checked>)> {
    let bytes = bytes_of(path)?;
    let checked = match read(&bytes, &path.display().to_string()) {
        Ok(checked) => checked,
        Err(findings) => return Ok((findings.iter().cloned().collect(), None)),
    };
    let mut findings = checked.warnings.clone();
    findings.extend(checked.at_desk(desk));
    findings.extend(authorities(&checked, path));
    findings.sort_by_key(|finding| (finding.place.line, finding.place.column));
    Ok((findings, Some(checked)))
}

/// At most one byte more than the limit: whoever names a disk image by mistake does not wait.
fn bytes_of(path: &Path) -> anyhow::Result<Vec<u8>> {
    let context = || format!("could not read {}", path.display());
    if path.is_dir() {
        let message = format!("{} is a folder; name the file in it: stayput.toml", path.display());
        return Err(Fault::new(Code::Usage, message).into());
    }
    let file = File::open(path).with_context(context)?;
    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).with_context(context)?;
    Ok(bytes)
}

/// The certificates that are files beside the configuration, as they will be on the card.
fn authorities(checked: &Checked, path: &Path) -> Vec<Finding> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    for source in &checked.config.network.ca {
        let CaSource::File(name) = source else { continue };
        let what = match bytes_of(&folder.join(name.as_str())) {
            Err(_) => format!("\"{name}\" is not beside this file"),
            Ok(bytes) => match String::from_utf8_lossy(&bytes).parse::<Pem>() {
                Ok(_) => continue,
                Err(flaw) => format!("\"{name}\" {}", flaw.what),
            },
        };
        let Some(place) = checked.place(&stayput_config::keys::NETWORK_CA) else { continue };
        findings.push(Finding {
            place: place.clone(),
            severity: Severity::Error,
            problem: Problem::Rule { what },
            expected: "a file with certificates in PEM beside stayput.toml, on the card too".to_owned(),
            remedy: "copy the authority's certificate (PEM, also called Base64 .cer) there".to_owned(),
        });
    }
    findings
}
