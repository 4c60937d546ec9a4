# NanoPi NEO2: how the SoC's watchdog is started, and put back to its full 16 s, the most that it can count. It resets the
# whole SoC. From the first line of boot.scr on; the kernel's sunxi_wdt takes it over as the first module of the initramfs.
# Registers of sun6i-a31-wdt at 0x01c20ca0: configuration, mode (interval 0xb, on), control (key 0xa57, restart).
setenv stayput_watchdog "mw.l 0x01c20cb4 0x1; mw.l 0x01c20cb8 0xb1; mw.l 0x01c20cb0 0x14af"
