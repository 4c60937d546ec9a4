//! What a build leaves beside the image: the image packed, the bill of materials, the licences.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use stayput_packages::built_using::{SourcePackage, built_using};
use stayput_packages::{Locked, deb};

use super::licences::{self, Notices};
use super::{APPLIANCE, Job, card, crates, sbom};
use crate::exit::{Code, Fault};
use crate::manifest::Manifest;

/// The packed image.
pub const PACKED: &str = "sdcard.img.zst";
/// The bill of materials.
pub const BILL: &str = "sbom.cdx.json";
/// Licences and notices.
pub const LICENCES: &str = "licences.txt";

/// The locked package whose notice is that of the C library inside the pinned target.
const C_LIBRARY: &str = "musl-dev";

/// Measured on the first image (200 MB, mostly compressed already): level 3 gives 73.0 MB, 9 gives 72.9 MB in 0.6 s,
/// 19 gives 72.7 MB in 28 s.
const LEVEL: i32 = 9;

/// Writes all of them, for the image that is in its place.
pub fn write(job: &Job<'_>, manifest: &Manifest, notices: &Notices) -> anyhow::Result<()> {
    let (packed, documents) = rayon::join(
        || pack(&job.output.join("sdcard.img"), &job.output.join(PACKED)),
        || documents(job, manifest, notices),
    );
    packed.and(documents)
}

fn documents(job: &Job<'_>, manifest: &Manifest, notices: &Notices) -> anyhow::Result<()> {
    let packages = job.supply.locked(&super::image_features())?;
    let crates = crates::linked(job, APPLIANCE)?;
    let sources = sources(job, &packages)?;
    let brought = brought(job)?;
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let bill = sbom::bill(&sbom::Parts {
        manifest,
        epoch: job.supply.epoch()?,
        packages: &packages,
        notices,
        sources: &sources,
        crates: &crates,
        programs: APPLIANCE,
    });
    let mut bill = serde_json::to_vec_pretty(&bill)?;
    bill.push(b'\n');
    card::replace(&job.output.join(BILL), &bill)?;
    card::replace(&job.output.join(LICENCES), licences::text(notices, &names, &crates, &brought).as_bytes())
}

/// What Debian linked into each package, as its control file says.
fn sources(job: &Job<'_>, packages: &[&Locked]) -> anyhow::Result<BTreeMap<String, BTreeSet<SourcePackage>>> {
    let paths = job.supply.fetch(packages, &())?;
    let of = |(package, path): (&&Locked, &PathBuf)| {
        let found = built_using(&deb::control(path)?).map_err(|reason| {
            let message = format!("the control file of {} cannot be read: {reason}", package.name);
            Fault::new(Code::Integrity, message)
        })?;
        Ok((package.name.clone(), found))
    };
    packages.iter().zip(&paths).map(of).collect()
}

/// The licences of what the compiler brings, by title.
fn brought(job: &Job<'_>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut texts: BTreeMap<_, _> = (job.licences.iter())
        .map(|(file, text)| (format!("Rust's standard library, {file}"), text.clone()))
        .collect();
    let all = job.supply.locked(&[stayput_toolchain::COMPILER_FEATURE])?;
    let headers: Vec<_> = all.into_iter().filter(|package| package.name == C_LIBRARY).collect();
    let paths = job.supply.fetch(&headers, &())?;
    let notice = format!("usr/share/doc/{C_LIBRARY}/copyright");
    for path in paths {
        for entry in deb::read(&path)? {
            if let (true, deb::EntryKind::File(bytes)) = (entry.path == notice, entry.kind) {
                let title = format!("{} (the C library in the box's programs)", job.toolchain.c_library);
                texts.insert(title, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    Ok(texts)
}

/// One thread, and the bundled zstd: the same bytes everywhere.
fn pack(image: &Path, packed: &Path) -> anyhow::Result<()> {
    let failed = || format!("could not write {}", packed.display());
    let partial = packed.with_file_name(".sdcard.img.zst.partial");
    let mut from = File::open(image).with_context(|| format!("could not read {}", image.display()))?;
    let mut encoder =
        zstd::Encoder::new(File::create(&partial).with_context(failed)?, LEVEL).with_context(failed)?;
    encoder.include_checksum(true).with_context(failed)?;
    // Whoever unpacks it knows the size beforehand.
    encoder.set_pledged_src_size(Some(from.metadata().with_context(failed)?.len())).with_context(failed)?;
    io::copy(&mut from, &mut encoder).with_context(failed)?;
    encoder.finish().with_context(failed)?.sync_all().with_context(failed)?;
    std::fs::rename(&partial, packed).with_context(failed)
}
