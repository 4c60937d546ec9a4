//! Kernel modules: what a list of names needs, and the indexes that kmod and udev read.
