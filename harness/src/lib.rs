//! A QEMU machine around the image: console, QMP, lights, keys, link, power, probe.
