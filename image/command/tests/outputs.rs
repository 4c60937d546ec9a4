//! What a build leaves beside the image. Stage `image` of scripts/test, which builds it first.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod desk;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use desk::{beside, image, not_checked, oracle, said, sha256, text};
use serde_json::Value;

/// The package that carries CycloneDX's own schema, from the CycloneDX project.
const VALIDATOR: &str = "cyclonedx-python-lib[json-validation]==11.12.0";
const VALIDATE: &str = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(str(fault) if fault else 0)";

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(beside(name)).unwrap()).unwrap()
}

fn names<'a>(list: &'a Value, kind: &str) -> BTreeSet<&'a str> {
    let of_kind = |one: &&Value| one["purl"].as_str().is_none_or(|purl| purl.starts_with(kind));
    list.as_array().unwrap().iter().filter(of_kind).map(|one| one["name"].as_str().unwrap()).collect()
}

/// Source code inside a package of Debian's; the package says its name and version and no hash.
fn is_source(one: &Value) -> bool {
    one["purl"].as_str().is_some_and(|purl| purl.contains("?arch=source&"))
}

/// A Python of our own with the validator in it; none where it cannot be had.
fn validator() -> Option<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cyclonedx-11.12.0");
    let python = folder.join("bin/python");
    if !folder.join("complete").exists() {
        let made = oracle("python3", &["-m", "venv", "--clear", text(&folder)])?;
        if !made.status.success() {
            not_checked(&format!("python3 makes no venv here ({})", said(&made).trim()));
            return None;
        }
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", VALIDATOR];
        let installed = Command::new(&python).args(pip).output().unwrap();
        if !installed.status.success() {
            not_checked(&format!(
                "the CycloneDX validator cannot be installed ({})",
                said(&installed).trim()
            ));
            return None;
        }
        std::fs::write(folder.join("complete"), "").unwrap();
    }
    Some(text(&python).to_owned())
}

#[test]
#[ignore = "stage image"]
fn the_bill_of_materials_is_valid_by_cyclonedxs_own_schema_and_a_broken_one_is_not() {
    let Some(python) = validator() else { return };
    let run = oracle(&python, &["-c", VALIDATE, text(&beside("sbom.cdx.json"))]).unwrap();
    assert!(run.status.success(), "{}", said(&run));
    let mut broken = json("sbom.cdx.json");
    broken["serialNumber"] = "not a uuid".into();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), broken.to_string()).unwrap();
    let run = oracle(&python, &["-c", VALIDATE, text(file.path())]).unwrap();
    assert!(!run.status.success(), "the validator takes anything");
}

#[test]
#[ignore = "stage image"]
fn the_bill_names_the_image_every_package_and_the_crates_of_the_box() {
    let (bill, manifest) = (json("sbom.cdx.json"), json("manifest.json"));
    assert_eq!(bill["metadata"]["component"]["hashes"][0]["content"], manifest["image"]["sha256"]);
    let binary: Value =
        bill["components"].as_array().unwrap().iter().filter(|one| !is_source(one)).cloned().collect();
    assert_eq!(names(&binary, "pkg:deb/debian/"), names(&manifest["packages"], ""));
    let crates = names(&bill["components"], "pkg:cargo/");
    assert!(crates.contains("stayput-init") && crates.contains("rustix"), "{crates:?}");
    assert!(!crates.contains("clap"), "that is the desk's: {crates:?}");
}

#[test]
#[ignore = "stage image"]
fn the_bill_names_what_the_engines_programs_were_linked_from() {
    let bill = json("sbom.cdx.json");
    for package in ["docker.io", "containerd", "runc"] {
        let node =
            bill["dependencies"].as_array().unwrap().iter().find(|node| {
                node["ref"].as_str().unwrap().starts_with(&format!("pkg:deb/debian/{package}@"))
            });
        let node = node.unwrap_or_else(|| panic!("{package} is linked from nothing"));
        let inside: Vec<_> =
            node["dependsOn"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        for start in ["pkg:deb/debian/golang-1.", "pkg:deb/debian/golang-golang-x-sys@"] {
            assert!(inside.iter().any(|purl| purl.starts_with(start)), "{package}: no {start} in {inside:?}");
        }
    }
}

#[test]
#[ignore = "stage image"]
fn the_bill_names_the_libraries_that_the_compiler_brings_to_each_program() {
    let bill = json("sbom.cdx.json");
    for program in ["stayput-init", "stayput-box"] {
        let node = bill["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .find(|node| node["ref"].as_str().unwrap().starts_with(&format!("pkg:cargo/{program}@")));
        let uses = node.unwrap_or_else(|| panic!("{program} is not in the bill"))["dependsOn"].to_string();
        assert!(uses.contains("pkg:generic/rust-std@1.") && uses.contains("pkg:generic/musl@1."), "{uses}");
    }
}

#[test]
#[ignore = "stage image"]
fn every_component_has_its_own_reference_a_hash_and_every_dependency_is_there() {
    let bill = json("sbom.cdx.json");
    let mut known: BTreeSet<_> = ["image"].into();
    for one in bill["components"].as_array().unwrap() {
        assert!(known.insert(one["bom-ref"].as_str().unwrap()), "twice: {one}");
        let own = one["name"].as_str().unwrap().starts_with("stayput-");
        let brought = one["purl"].as_str().unwrap().starts_with("pkg:generic/");
        assert!(
            own || brought || is_source(one) || one["hashes"][0]["content"].as_str().unwrap().len() == 64,
            "{one}"
        );
    }
    for node in bill["dependencies"].as_array().unwrap() {
        let uses = node["dependsOn"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        for name in uses.chain(node["ref"].as_str()) {
            assert!(known.contains(name), "{name} is no component");
        }
    }
}

#[test]
#[ignore = "stage image"]
fn zstd_unpacks_the_packed_image_to_the_image() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let run = oracle("zstd", &["-q", "-d", "-f", text(&beside("sdcard.img.zst")), "-o", text(file.path())]);
    let Some(run) = run else { return };
    assert!(run.status.success(), "{}", said(&run));
    assert_eq!(sha256(file.path()), sha256(&image()));
}

#[test]
#[ignore = "stage image"]
fn every_package_and_crate_has_its_place_among_the_licences() {
    let licences = std::fs::read_to_string(beside("licences.txt")).unwrap();
    let lines: BTreeSet<_> = licences.lines().collect();
    for name in names(&json("manifest.json")["packages"], "") {
        assert!(lines.contains(name), "{name} has no notice");
    }
    assert!(!licences.contains("(the package has no notice)") && !licences.contains("(its notice is in"));
    assert!(licences.contains("\nRust's standard library, MIT.txt\n") && licences.contains("\nmusl 1."));
    let bill = json("sbom.cdx.json");
    for name in names(&bill["components"], "pkg:cargo/") {
        assert!(lines.iter().any(|line| line.starts_with(&format!("{name} "))), "{name} has no licence");
    }
    assert!(licences.contains("GNU GENERAL PUBLIC LICENSE\n                       Version 2, June 1991"));
}
