//! What a build leaves beside the image: the image packed, the bill of materials, the licences.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::Context;

use super::licences::{self, Notices};
use super::{APPLIANCE, Job, card, crates, sbom};
use crate::manifest::Manifest;

/// The packed image.
pub const PACKED: &str = "sdcard.img.zst";
/// The bill of materials.
pub const BILL: &str = "sbom.cdx.json";
/// Licences and notices.
pub const LICENCES: &str = "licences.txt";

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
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let bill = sbom::bill(&sbom::Parts {
        manifest,
        epoch: job.supply.epoch()?,
        packages: &packages,
        notices,
        crates: &crates,
        programs: APPLIANCE,
    });
    let mut bill = serde_json::to_vec_pretty(&bill)?;
    bill.push(b'\n');
    card::replace(&job.output.join(BILL), &bill)?;
    card::replace(&job.output.join(LICENCES), licences::text(notices, &names, &crates).as_bytes())
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
