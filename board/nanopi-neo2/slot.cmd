# NanoPi NEO2: load, adapt Debian's device tree, boot.
setenv bootargs "@CMDLINE@"
# booti unpacks Image.gz to kernel_comp_addr_r, moves the kernel back to where the gzip was, and starts it there.
setenv kernel_comp_addr_r @KERNEL_UNPACK@
load ${devtype} ${devnum}:${stayput_boot} @FDT@ @DTB@ && fdt addr @FDT@ && fdt resize @FDT_ROOM@ && load ${devtype} ${devnum}:${stayput_boot} @KERNEL@ Image.gz && setenv kernel_comp_size ${filesize} && load ${devtype} ${devnum}:${stayput_boot} @INITRD@ initrd.zst && setenv stayput_initrd ${filesize}
if test -n "${stayput_initrd}"; then
  # The hat's display: I2C0 on pins 3 and 5, off in Debian's tree; the alias fixes its bus number.
  fdt set /soc/i2c@1c2ac00 status okay
  fdt set /aliases i2c0 /soc/i2c@1c2ac00

  # Lights beside the two on the board. Debian's tree has no symbols, so no overlays: nodes by hand, numbers in hex.
  fdt get value stayput_pio /soc/pinctrl@1c20800 phandle
  fdt mknode /leds hat-green
  fdt set /leds/hat-green label status:green
  fdt set /leds/hat-green gpios <${stayput_pio} @LED_STATUS_GREEN@>
  fdt mknode /leds hat-yellow
  fdt set /leds/hat-yellow label status:yellow
  fdt set /leds/hat-yellow gpios <${stayput_pio} @LED_STATUS_YELLOW@>
  fdt mknode /leds hat-red
  fdt set /leds/hat-red label status:red
  fdt set /leds/hat-red gpios <${stayput_pio} @LED_STATUS_RED@>

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
