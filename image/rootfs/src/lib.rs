//! The root file system: one sorted tree from packages, overlay and tables, written as squashfs.
