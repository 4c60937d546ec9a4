//! The initramfs program: finds the slot, mounts root and state, hands over to systemd.

fn main() {}
