//! Kernel modules: what a list of names needs, and the indexes that kmod and udev read.
//!
//! The image carries about a hundred of the kernel package's 4,351 modules. Three steps, all of them
//! values in, values out:
//!
//! 1. [`ModuleTable`] reads `image/modules.toml` and each board's `[modules]`: names, each with its reason.
//! 2. [`select`] closes a list of names over `depends` and soft dependencies, and sorts it so that a
//!    program without any index (the initramfs `/init`) can load it from top to bottom.
//! 3. [`indexes`] writes what `depmod` would write for exactly those modules, byte for byte as kmod 34
//!    does, without a host tool: the box has a read-only root, and a host's depmod differs by version.
//!
//! Nothing here touches a disk. The bytes of a module stay as they were shipped;
//! [`Selection::decompressed`] gives the plain file for the initramfs.

mod alias;
mod builtin;
mod catalogue;
mod compression;
mod depmod;
mod error;
mod module;
mod name;
mod order;
mod select;
mod softdep;
mod table;
pub mod trie;

pub use alias::matches as alias_matches;
pub use builtin::Builtin;
pub use catalogue::Catalogue;
pub use depmod::{INDEX_FILES, indexes};
pub use error::{Error, Result};
pub use module::Module;
pub use name::ModuleName;
pub use select::{Selection, UnmetSoftDependency, select};
pub use softdep::SoftDependencies;
pub use table::{BoardModules, Group, ModuleTable, Unneeded};
