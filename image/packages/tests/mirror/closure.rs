//! The walk over dependencies.

use stayput_packages::{Error, Kind};

use crate::archive::{TestArchive, TestPackage, package, roots};

fn closure(packages: &[TestPackage], base: &str) -> Result<Vec<String>, Error> {
    let lock = TestArchive::with(packages).lock(base)?;
    Ok(lock.packages.iter().map(|p| format!("{}:{}={}", p.name, p.architecture, p.version)).collect())
}

fn refusal(packages: &[TestPackage], base: &str) -> String {
    let error = closure(packages, base).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    error.to_string()
}

fn depends(name: &str, on: &str) -> TestPackage {
    package(name, "1", &format!("Depends: {on}\n"))
}

#[test]
fn depends_and_pre_depends_are_followed_in_circles_too() {
    let packages = [
        package("aa", "1", "Depends: bb\nPre-Depends: cc\nRecommends: zz\n"),
        depends("bb", "aa, dd (>= 1)"),
        depends("cc", "cc"),
        package("dd", "1", ""),
        package("zz", "1", ""),
        package("ee", "1", "Essential: yes\n"),
    ];
    assert_eq!(
        closure(&packages, &roots(&["aa"])).unwrap(),
        ["aa:arm64=1", "bb:arm64=1", "cc:arm64=1", "dd:arm64=1"]
    );
}

#[test]
fn a_bound_takes_an_older_version_where_the_newest_does_not_fit() {
    let packages = [depends("aa", "bb (<< 2)"), package("bb", "1", ""), package("bb", "2", "")];
    assert_eq!(closure(&packages, &roots(&["aa"])).unwrap(), ["aa:arm64=1", "bb:arm64=1"]);
}

#[test]
fn two_bounds_that_no_version_meets_are_told() {
    let packages = [
        depends("aa", "bb (<< 2)"),
        depends("cc", "bb (>= 2)"),
        package("bb", "1", ""),
        package("bb", "2", ""),
    ];
    let error = refusal(&packages, &roots(&["aa", "cc"]));
    assert!(error.contains("'cc' needs 'bb (>= 2)', but 'bb 1' was chosen"), "{error}");
}

#[test]
fn an_omitted_name_ends_the_walk_there() {
    let packages = [
        depends("aa", "debconf (>= 0.5) | debconf-2.0, bb"),
        package("bb", "1", ""),
        depends("debconf", "perl"),
        package("perl", "1", ""),
    ];
    let base = roots(&["aa"]) + "[features.base.omit]\ndebconf = \"no questions\"\n";
    assert_eq!(closure(&packages, &base).unwrap(), ["aa:arm64=1", "bb:arm64=1"]);
}

#[test]
fn an_omitted_name_that_nothing_asks_for_is_an_error() {
    let base = roots(&["aa"]) + "[features.base.omit]\nperl = \"no scripts\"\n";
    assert!(refusal(&[package("aa", "1", "")], &base).contains("omit: nothing asks for 'perl'"));
}

#[test]
fn an_omitted_provider_omits_what_it_provides() {
    let packages = [depends("aa", "awk"), package("mawk", "1", "Provides: awk\n")];
    let base = roots(&["aa"]) + "[features.base.omit]\nmawk = \"no scripts\"\n";
    assert_eq!(closure(&packages, &base).unwrap(), ["aa:arm64=1"]);
}

#[test]
fn an_alternative_that_is_there_anyhow_is_taken() {
    let packages = [
        depends("aa", "adduser | sysusers"),
        package("adduser", "1", ""),
        package("systemd", "1", "Provides: sysusers\n"),
    ];
    assert_eq!(closure(&packages, &roots(&["aa", "systemd"])).unwrap(), ["aa:arm64=1", "systemd:arm64=1"]);
}

#[test]
fn the_first_alternative_that_exists_is_taken() {
    let packages = [depends("aa", "nowhere | bb | cc"), package("bb", "1", ""), package("cc", "1", "")];
    assert_eq!(closure(&packages, &roots(&["aa"])).unwrap(), ["aa:arm64=1", "bb:arm64=1"]);
}

#[test]
fn a_preferred_alternative_or_provider_is_taken() {
    let packages = [
        depends("aa", "bus | any-bus"),
        package("bus", "1", ""),
        package("broker", "1", "Provides: any-bus\n"),
    ];
    let base = roots(&["aa"]) + "[features.base.prefer]\nbus = \"broker\"\n";
    assert_eq!(closure(&packages, &base).unwrap(), ["aa:arm64=1", "broker:arm64=1"]);
    let stray = roots(&["aa"]) + "[features.base.prefer]\nbus = \"aa\"\n";
    assert!(refusal(&packages, &stray).contains("prefer: 'bus' = 'aa'"));
    let unused = roots(&["broker"]) + "[features.base.prefer]\nbus = \"broker\"\n";
    assert!(refusal(&packages, &unused).contains("prefer: nothing asks for 'bus'"));
}

#[test]
fn several_providers_of_a_name_ask_for_a_decision() {
    let packages = [
        depends("aa", "awk"),
        package("mawk", "1", "Provides: awk\n"),
        package("gawk", "1", "Provides: awk\n"),
    ];
    let error = refusal(&packages, &roots(&["aa"]));
    assert!(error.contains("gawk, mawk") && error.contains("prefer"), "{error}");
}

#[test]
fn the_provider_of_higher_priority_is_what_debian_means() {
    let packages = [
        depends("aa", "awk"),
        package("mawk", "1", "Provides: awk\nPriority: required\n"),
        package("gawk", "1", "Provides: awk\nPriority: optional\n"),
    ];
    assert_eq!(closure(&packages, &roots(&["aa"])).unwrap(), ["aa:arm64=1", "mawk:arm64=1"]);
}

#[test]
fn an_unversioned_provides_meets_no_versioned_dependency() {
    let packages = [
        depends("aa", "lib (>= 2)"),
        package("bb", "9", "Provides: lib\n"),
        package("cc", "1", "Provides: lib (= 2.1)\n"),
    ];
    assert_eq!(closure(&packages, &roots(&["aa"])).unwrap(), ["aa:arm64=1", "cc:arm64=1"]);
}

#[test]
fn a_dependency_that_nothing_meets_is_told_with_its_asker() {
    let error = refusal(&[depends("aa", "bb (>= 2) | cc")], &roots(&["aa"]));
    assert!(error.contains("'aa 1' needs 'bb (>= 2) | cc'") && error.contains("omit"), "{error}");
    assert!(refusal(&[package("aa", "1", "")], &roots(&["ab"])).contains("no package 'ab' for arm64"));
}

#[test]
fn packages_that_conflict_are_refused() {
    let packages = [package("aa", "1", "Conflicts: bb (<< 2)\n"), package("bb", "1", "")];
    assert!(refusal(&packages, &roots(&["aa", "bb"])).contains("'aa 1' conflicts with 'bb 1'"));
    let fine =
        [package("aa", "1", "Breaks: bb (<< 1), virtual\nProvides: virtual\n"), package("bb", "1", "")];
    closure(&fine, &roots(&["aa", "bb"])).unwrap();
}

#[test]
fn a_feature_may_hold_packages_of_two_architectures() {
    let packages = [
        depends("dev", "lib").of("amd64"),
        depends("dev", "lib"),
        package("lib", "1", "").of("amd64"),
        package("lib", "1", ""),
    ];
    let base = roots(&["dev", "dev:amd64"]) + "[features.base.omit]\n\"lib:amd64\" = \"for the box only\"\n";
    assert_eq!(closure(&packages, &base).unwrap(), ["dev:amd64=1", "dev:arm64=1", "lib:arm64=1"]);
}

#[test]
fn a_package_for_all_architectures_asks_for_the_one_it_runs_on() {
    let packages =
        [depends("script", "lib").of("all"), package("lib", "1", ""), package("lib", "1", "").of("amd64")];
    assert_eq!(closure(&packages, &roots(&["script"])).unwrap(), ["lib:arm64=1", "script:all=1"]);
}

#[test]
fn a_foreign_package_serves_another_architecture_and_a_plain_one_does_not() {
    let tool = |fields: &str| [depends("aa", "tool"), package("tool", "1", fields).of("amd64")];
    let base = roots(&["aa", "tool:amd64"]);
    assert_eq!(closure(&tool("Multi-Arch: foreign\n"), &base).unwrap(), ["aa:arm64=1", "tool:amd64=1"]);
    assert!(refusal(&tool(""), &base).contains("'aa 1' needs 'tool'"));
}

#[test]
fn a_broken_dependency_field_is_refused_when_it_is_walked() {
    let packages = [depends("aa", "bb (>=="), package("bb", "1", "")];
    let error = refusal(&packages, &roots(&["aa"]));
    assert!(error.contains("'aa' on the mirror") && error.contains("bb (>=="), "{error}");
    closure(&packages, &roots(&["bb"])).unwrap();
}
