//! `stayput lock`: pins the packages, and says what changed.

use stayput_packages::Manifest;
use stayput_packages::change::{changes, refuse_setbacks};
use stayput_packages::lock::{self, Lock};

use crate::cli::LockArgs;
use crate::progress::Steps;
use crate::supply;
use crate::tree::SourceTree;

/// Runs the command.
pub fn run(tree: &SourceTree, args: &LockArgs, steps: &mut Steps) -> anyhow::Result<()> {
    let manifest = Manifest::load(&tree.path("image/packages.toml"))?;
    let path = tree.path("image/packages.lock");
    let old = if path.exists() { Some(Lock::load(&path)?) } else { None };
    if let (Some(old), false) = (&old, args.update) {
        let current = old.check_current(&manifest);
        if args.check || current.is_ok() {
            current?;
            println!("The lock fits image/packages.toml ({} packages).", old.packages.len());
            return Ok(());
        }
    }
    let mirror = supply::mirror(&args.mirror)?;
    let new = steps.step("Resolving packages", |step| {
        let new = lock::resolve_fresh(&manifest, &mirror, lock::now(), step)?;
        let said = format!("{} packages", new.packages.len());
        Ok((new, said))
    })?;
    let changes = old.as_ref().map(|old| changes(old, &new)).unwrap_or_default();
    for change in &changes {
        println!("{change}");
    }
    if let (Some(old), false) = (&old, args.allow_older) {
        refuse_setbacks(old, &new)?;
    }
    new.save(&path)?;
    let security = changes.iter().filter(|change| change.security).count();
    match (old, changes.len()) {
        (None, _) => println!("New lock: {} packages.", new.packages.len()),
        (Some(_), 0) => println!("No package changed."),
        (Some(_), count) => println!(
            "Changed: {count}, security updates among them: {security}. Build and test, then commit the lock."
        ),
    }
    Ok(())
}
