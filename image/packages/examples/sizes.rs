//! Sizes per feature and missing libraries.
use stayput_packages::*;
fn main() {
    let lock = Lock::load(std::path::Path::new("/work/main/image/packages.lock")).unwrap();
    let cache = Cache::open(&Cache::default_folder().unwrap()).unwrap();
    let mut names: Vec<Vec<&str>> = lock.features().into_iter().map(|n| vec![n]).collect();
    names.push(vec!["base", "engine"]);
    for name in names {
        let mut packages: Vec<&Locked> =
            lock.packages.iter().filter(|p| name.iter().any(|n| p.features.contains(*n))).collect();
        packages.dedup();
        let start = std::time::Instant::now();
        let paths = cache.fetch(&packages, &Source::Offline, &()).unwrap();
        let hashed = start.elapsed().as_secs_f32();
        let all = deb::read_all(&paths, &()).unwrap();
        let t = start.elapsed().as_secs_f32() - hashed;
        let unpacked: usize = all
            .iter()
            .flatten()
            .map(|e| if let deb::EntryKind::File(c) = &e.kind { c.len() } else { 0 })
            .sum();
        println!(
            "{name:?}: {} packages, {:.1} MB .deb, {:.1} MB unpacked, hash {hashed:.2} s, read {t:.2} s, {} entries",
            packages.len(),
            packages.iter().map(|p| p.size).sum::<u64>() as f64 / 1e6,
            unpacked as f64 / 1e6,
            all.iter().flatten().count()
        );
        for m in elf::missing_libraries(all.iter().flatten()) {
            println!("   missing {} for {:?}", m.library, &m.needed_by[..m.needed_by.len().min(4)]);
        }
    }
}
