//! `stayput config new`: one file or a fleet's, from flags or from questions; nothing is written before all is checked.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use stayput_config::keys::{self, Key};
use stayput_config::{
    ActivationCode, ActivationId, ClusterName, Desk, DeviceName, Draft, Expiry, Flaw, QueueUrl, Region,
    fleet_names, read, refuses,
};

use super::listed;
use crate::cli::ConfigNewArgs;
use crate::exit::{Code, Fault};

fn wrong(message: impl Into<String>) -> anyhow::Error {
    Fault::new(Code::Usage, message).into()
}

/// Makes the files.
pub fn run(args: &ConfigNewArgs, desk: &Desk<'_>) -> anyhow::Result<()> {
    let mut draft = from_flags(args)?;
    if std::io::stdin().is_terminal() && args.count.is_none() {
        ask(&mut draft, &mut std::io::stdin().lock(), &mut std::io::stderr())?;
    }
    complete(&draft, args.count.is_some())?;
    let Some(count) = args.count else {
        let text = checked(&draft, desk)?;
        return match &args.out {
            Some(path) => write(path, &text, args.force),
            None => match std::io::stdout().write_all(text.as_bytes()) {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
                _ => Ok(()),
            },
        };
    };
    let pattern = args.name.as_deref().unwrap_or_default();
    let names = fleet_names(pattern, args.first, count).map_err(|flaw| wrong(format!("--name {flaw}")))?;
    let folder = args.out.as_deref().unwrap_or(Path::new("."));
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for name in &names {
        draft.set(&keys::DEVICE_NAME, name.as_str());
        files.push((folder.join(format!("{name}.toml")), checked(&draft, desk)?));
    }
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists() && !args.force) {
        return Err(wrong(format!("{} is there already; --force overwrites", path.display())));
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("could not make the folder {}", folder.display()))?;
    for (path, text) in &files {
        write(path, text, args.force)?;
    }
    eprintln!(
        "{count} files in {}. The activation must allow as many registrations: --registration-limit {count} or more.",
        folder.display()
    );
    Ok(())
}

fn from_flags(args: &ConfigNewArgs) -> anyhow::Result<Draft> {
    let mut draft = Draft::new();
    draft.set(&keys::VERSION, "1");
    for (key, value) in [
        (&keys::DEVICE_NAME, &args.name),
        (&keys::ACTIVATION_REGION, &args.region),
        (&keys::ACTIVATION_EXPIRES, &args.expires),
        (&keys::ECS_CLUSTER, &args.cluster),
        (&keys::WORKER_QUEUE, &args.queue),
    ] {
        if let Some(value) = value {
            draft.set(key, value);
        }
    }
    if args.queue.is_some() && args.cluster.is_none() {
        draft.set(&keys::WORKER_RUNTIME, "host");
    }
    if let Some(path) = &args.activation {
        let (id, code) = activation(path)?;
        draft.set(&keys::ACTIVATION_ID, &id);
        draft.set(&keys::ACTIVATION_CODE, &code);
    }
    for setting in &args.set {
        // The text is not repeated: a password may stand in it.
        let (path, value) = setting.split_once('=').ok_or_else(|| {
            wrong("--set wants SECTION.KEY=VALUE, as in network.mdns=true; there is no = in one")
        })?;
        draft.set_by_path(path, value).map_err(|flaw| wrong(format!("--set {path}: {flaw}")))?;
    }
    Ok(draft)
}

/// Id and code from what the AWS command printed.
fn activation(path: &Path) -> anyhow::Result<(String, String)> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Printed {
        activation_id: String,
        activation_code: String,
    }
    let mut bytes = Vec::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().lock().take(65_536).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(65_536).read_to_end(&mut bytes)),
    };
    read.with_context(|| format!("could not read {}", path.display()))?;
    // PowerShell writes UTF-16 behind its arrow.
    let text = match bytes.strip_prefix(b"\xff\xfe") {
        Some(pairs) => {
            let units: Vec<u16> =
                pairs.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units)
        }
        None => String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes)).into_owned(),
    };
    // The parser's own message could repeat the code.
    let printed: Printed = serde_json::from_str(&text).map_err(|error| {
        wrong(format!(
            "{}:{}:{}: this is not what 'aws ssm create-activation --output json' prints; expected an object with \
             ActivationId and ActivationCode; save its output again",
            path.display(),
            error.line(),
            error.column()
        ))
    })?;
    Ok((printed.activation_id, printed.activation_code))
}

/// Names the flags that are still wanting, in place of the lines of a file that nobody has seen.
fn complete(draft: &Draft, fleet: bool) -> anyhow::Result<()> {
    let wanting: Vec<&str> = [
        (&keys::DEVICE_NAME, "--name"),
        (&keys::ACTIVATION_REGION, "--region"),
        (&keys::ACTIVATION_ID, "--activation"),
        (&keys::ACTIVATION_CODE, "--activation"),
    ]
    .into_iter()
    .filter(|(key, _)| !draft.has(key))
    .map(|(_, flag)| flag)
    .chain(
        (!draft.has(&keys::ECS_CLUSTER) && !draft.has(&keys::WORKER_QUEUE)).then_some("--cluster or --queue"),
    )
    .collect();
    if wanting.is_empty() {
        return Ok(());
    }
    let mut wanting = wanting;
    wanting.dedup();
    let ask = if fleet { "" } else { "; on a terminal the command asks for them" };
    Err(wrong(format!("still wanting: {}{ask}", wanting.join(", "))))
}

/// The file's text, read back and looked at as `check` does; warnings go to the terminal.
fn checked(draft: &Draft, desk: &Desk<'_>) -> anyhow::Result<String> {
    let text = draft.render();
    let findings = match read(text.as_bytes(), "stayput.toml") {
        Err(findings) => findings.iter().cloned().collect(),
        Ok(checked) => [checked.warnings.clone(), checked.at_desk(desk)].concat(),
    };
    if refuses(&findings) {
        return Err(wrong(format!("nothing was written:\n{}", listed(&findings).trim_end())));
    }
    eprint!("{}", listed(&findings));
    Ok(text)
}

/// For the owner alone: the code is in it.
fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let context = || format!("could not write {}", path.display());
    let mut file = match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(wrong(format!("{} is there already; --force overwrites", path.display())));
        }
        other => other.with_context(context)?,
    };
    file.write_all(text.as_bytes()).with_context(context)?;
    file.sync_all().with_context(context)
}

/// A question: the key, its words, and the rule of an answer.
type Question = (&'static Key, &'static str, fn(&str) -> Result<(), Flaw>);

const QUESTIONS: &[Question] = &[
    (&keys::DEVICE_NAME, "The box's name", |text| text.parse::<DeviceName>().map(drop)),
    (&keys::ACTIVATION_REGION, "AWS region", |text| text.parse::<Region>().map(drop)),
    (&keys::ACTIVATION_ID, "Activation ID", |text| text.parse::<ActivationId>().map(drop)),
    (&keys::ACTIVATION_CODE, "Activation Code", |text| text.parse::<ActivationCode>().map(drop)),
    (&keys::ACTIVATION_EXPIRES, "When it ends (year-month-day)", |text| text.parse::<Expiry>().map(drop)),
];

/// Asks for what the flags did not say, until each answer is good.
fn ask(draft: &mut Draft, input: &mut impl BufRead, out: &mut impl Write) -> anyhow::Result<()> {
    for (key, words, rule) in QUESTIONS {
        if !draft.has(key) {
            let answer = answer(words, *rule, input, out)?;
            draft.set(key, &answer);
        }
    }
    if !draft.has(&keys::ECS_CLUSTER) && !draft.has(&keys::WORKER_QUEUE) {
        let empty_or_name = |text: &str| match text {
            "" => Ok(()),
            name => name.parse::<ClusterName>().map(drop),
        };
        let words = "ECS cluster (empty: the box itself starts the worker)";
        let cluster = answer(words, empty_or_name, input, out)?;
        if cluster.is_empty() {
            let queue = answer("SQS queue URL", |text| text.parse::<QueueUrl>().map(drop), input, out)?;
            draft.set(&keys::WORKER_RUNTIME, "host");
            draft.set(&keys::WORKER_QUEUE, &queue);
        } else {
            draft.set(&keys::ECS_CLUSTER, &cluster);
        }
    }
    Ok(())
}

fn answer(
    words: &str,
    rule: impl Fn(&str) -> Result<(), Flaw>,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> anyhow::Result<String> {
    loop {
        write!(out, "{words}: ")?;
        out.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(wrong("the answers ended; nothing was written"));
        }
        let text = line.trim();
        match rule(text) {
            Ok(()) => return Ok(text.to_owned()),
            Err(flaw) => writeln!(out, "  This {}; {}.", flaw.what, flaw.remedy)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: &str = "Box 1\nbox-1\neu-central-1\n6f1c2d3e-4a5b-4c6d-8e7f-9a8b7c6d5e4f\nKx7Pq2Rs9Tu4/Vw6Yz8B\n2030-12-24\n";

    fn asked(answers: &str) -> (anyhow::Result<Draft>, String) {
        let mut draft = Draft::new();
        draft.set(&keys::VERSION, "1");
        let mut out = Vec::new();
        let result = ask(&mut draft, &mut answers.as_bytes(), &mut out);
        (result.map(|()| draft), String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_bad_answer_is_explained_and_asked_again() {
        let (draft, out) = asked(&format!("{ANSWERS}stayput\n"));
        assert!(out.contains("This holds capitals; write it in small letters."), "{out}");
        let config = read(draft.unwrap().render().as_bytes(), "stayput.toml").unwrap().config;
        assert_eq!(config.device.name.as_str(), "box-1");
    }

    #[test]
    fn no_cluster_leads_to_the_queue() {
        let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders";
        let (draft, out) = asked(&format!("{ANSWERS}\n{url}\n"));
        assert!(out.contains("SQS queue URL"), "{out}");
        let config = read(draft.unwrap().render().as_bytes(), "stayput.toml").unwrap().config;
        assert_eq!(config.worker.queue.unwrap().to_string(), url);
    }

    #[test]
    fn answers_that_end_early_end_the_command() {
        let (draft, _) = asked("box-1\neu-central-1\n");
        assert!(draft.is_err());
    }
}
