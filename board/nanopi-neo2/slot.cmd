# NanoPi NEO2: load, adapt Debian's device tree, boot.
setenv bootargs "@CMDLINE@"
# booti unpacks Image.gz to kernel_comp_addr_r, moves the kernel back to where the gzip was, and starts it there.
setenv kernel_comp_addr_r @KERNEL_UNPACK@
load ${devtype} ${devnum}:${stayput_boot} @FDT@ @DTB@ && setenv stayput_sums "@DTB_SUM@" && run stayput_check && fdt addr @FDT@ && fdt resize @FDT_ROOM@ && load ${devtype} ${devnum}:${stayput_boot} @KERNEL@ Image.gz && setenv kernel_comp_size ${filesize} && setenv stayput_sums "@KERNEL_SUM@" && run stayput_check && load ${devtype} ${devnum}:${stayput_boot} @INITRD@ initrd.zst && setenv stayput_sums "@INITRD_SUM@" && run stayput_check && setenv stayput_initrd ${filesize}
if test -n "${stayput_initrd}"; then
  # The hat's display: I2C0 on pins 3 and 5, off in Debian's tree; the alias fixes its bus number.
  fdt set /soc/i2c@1c2ac00 status okay
  fdt set /aliases i2c0 /soc/i2c@1c2ac00

  # What the lights show by themselves: the blue one on the board (led-1) and yellow are slow (a second lit, a second dark)
  # from the driver's first moment, blue and red are fast in a panic, and all keep their level when the processor stops
  # (docs/lights.md).
  fdt set /leds/led-1 retain-state-shutdown
  fdt set /leds/led-1 linux,default-trigger timer
  fdt set /leds/led-1 led-pattern <0x3e8 0x3e8>
  fdt set /leds/led-1 panic-indicator

  # Lights beside the two on the board. Debian's tree has no symbols, so no overlays: nodes by hand, numbers in hex.
  fdt get value stayput_pio /soc/pinctrl@1c20800 phandle
  fdt mknode /leds hat-green
  fdt set /leds/hat-green label status:green
  fdt set /leds/hat-green gpios <${stayput_pio} @LED_STATUS_GREEN@>
  fdt set /leds/hat-green retain-state-shutdown
  fdt mknode /leds hat-yellow
  fdt set /leds/hat-yellow label status:yellow
  fdt set /leds/hat-yellow gpios <${stayput_pio} @LED_STATUS_YELLOW@>
  fdt set /leds/hat-yellow retain-state-shutdown
  fdt set /leds/hat-yellow linux,default-trigger timer
  fdt set /leds/hat-yellow led-pattern <0x3e8 0x3e8>
  fdt mknode /leds hat-red
  fdt set /leds/hat-red label status:red
  fdt set /leds/hat-red gpios <${stayput_pio} @LED_STATUS_RED@>
  fdt set /leds/hat-red retain-state-shutdown
  fdt set /leds/hat-red panic-indicator

  # The hat's keys, high when pressed. Pulled down, so that without a hat they do not chatter.
  fdt mknode / hat-keys
  fdt set /hat-keys compatible gpio-keys
  fdt mknode /hat-keys k1
  fdt set /hat-keys/k1 label K1
  fdt set /hat-keys/k1 linux,code <@KEY_K1_CODE@>
  fdt set /hat-keys/k1 gpios <${stayput_pio} @KEY_K1@>
  fdt mknode /hat-keys k2
  fdt set /hat-keys/k2 label K2
  fdt set /hat-keys/k2 linux,code <@KEY_K2_CODE@>
  fdt set /hat-keys/k2 gpios <${stayput_pio} @KEY_K2@>
  fdt mknode /hat-keys k3
  fdt set /hat-keys/k3 label K3
  fdt set /hat-keys/k3 linux,code <@KEY_K3_CODE@>
  fdt set /hat-keys/k3 gpios <${stayput_pio} @KEY_K3@>

  # The full 16 s for unpacking the kernel and for the way to the initramfs's first module, which is its driver.
  run stayput_watchdog
  echo "stayput: starting slot ${stayput_slot}"
  booti @KERNEL@ @INITRD@:${stayput_initrd} @FDT@
fi
