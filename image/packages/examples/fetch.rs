//! Fetches features.
use stayput_packages::*;
fn main() {
    let lock = Lock::load(std::path::Path::new("/work/main/image/packages.lock")).unwrap();
    let cache = Cache::open(&Cache::default_folder().unwrap()).unwrap();
    let source = match std::env::args().nth(1).as_deref() {
        Some("--offline") => Source::Offline,
        Some("apt") | None => Source::Mirror(Mirror::from_apt().unwrap()),
        Some(m) => Source::Mirror(Mirror::named(m, None).unwrap()),
    };
    for name in std::env::args().skip(2) {
        let start = std::time::Instant::now();
        match cache.fetch(&lock.feature(&name).unwrap(), &source, &()) {
            Ok(paths) => println!("{name}: {} files in {:.2} s", paths.len(), start.elapsed().as_secs_f32()),
            Err(error) => {
                eprintln!("{error}\n{:?}", error.kind());
                std::process::exit(1);
            }
        }
    }
}
