//! Where every byte of the base comes from: mirror, signed release, lock, cache, .deb.
