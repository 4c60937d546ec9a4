//! Writes the lock (until the command does).
fn main() {
    let manifest =
        stayput_packages::Manifest::load(std::path::Path::new("/work/main/image/packages.toml")).unwrap();
    let mirror = stayput_packages::Mirror::from_apt().unwrap();
    let lock =
        match stayput_packages::lock::resolve_fresh(&manifest, &mirror, stayput_packages::lock::now(), &()) {
            Ok(lock) => lock,
            Err(error) => {
                eprintln!("{error}\n{:?}", error.kind());
                std::process::exit(1);
            }
        };
    for name in lock.features() {
        let all = lock.feature(name).unwrap();
        println!(
            "{name}: {} packages, {:.1} MB",
            all.len(),
            all.iter().map(|p| p.size).sum::<u64>() as f64 / 1e6
        );
    }
    lock.save(lock.path()).unwrap();
}
