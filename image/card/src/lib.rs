//! The card: layout, partition table, FAT, boot scripts, initramfs, loader.
