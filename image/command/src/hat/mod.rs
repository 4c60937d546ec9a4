//! The hat at the desk: its pages as pictures, and a virtual one in the terminal.

mod paint;
pub mod png;
mod terminal;

pub use terminal::{Shown, run as on_terminal};

use anyhow::Context;
use stayput_hat::{Page, View, draw};

use crate::cli::HatArgs;

/// Runs `stayput hat`.
pub fn run(args: &HatArgs) -> anyhow::Result<()> {
    let view = View::example(args.state);
    let frames: Vec<_> = (0..args.page.screenfuls(&view)).map(|at| draw(args.page, at, &view)).collect();
    png::write(&args.out, &frames, args.scale)
        .with_context(|| format!("could not write {}", args.out.display()))
}

/// A page by its name.
pub fn page(name: &str) -> Result<Page, String> {
    let names = || Page::ALL.map(Page::name).join(", ");
    let found = Page::ALL.into_iter().find(|page| page.name() == name.to_lowercase());
    found.ok_or_else(|| format!("expected one of {}", names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_by_its_name_and_an_unknown_one_is_told_the_names() {
        assert_eq!(page("Help"), Ok(Page::Help));
        assert!(page("").unwrap_err().contains("verdict, help, network, worker, machine"));
    }
}
