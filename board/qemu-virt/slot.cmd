# QEMU virt (with acpi=off: else it leaves out the PL061): load, add lights to QEMU's own device tree, boot.
setenv bootargs "@CMDLINE@"
# booti unpacks Image.gz to kernel_comp_addr_r, moves the kernel back to where the gzip was, and starts it there.
setenv kernel_comp_addr_r @KERNEL_UNPACK@
fdt addr ${fdt_addr} && fdt move ${fdt_addr} @FDT@ @FDT_ROOM@ && load ${devtype} ${devnum}:${stayput_boot} @KERNEL@ Image.gz && setenv kernel_comp_size ${filesize} && setenv stayput_sums "@KERNEL_SUM@" && run stayput_check && load ${devtype} ${devnum}:${stayput_boot} @INITRD@ initrd.zst && setenv stayput_sums "@INITRD_SUM@" && run stayput_check && setenv stayput_initrd ${filesize}
if test -n "${stayput_initrd}"; then
  # The lights, on lines of the PL061 that QEMU leaves free; line 3 is QEMU's own power key. What they show by themselves:
  # yellow slow (a second lit, a second dark) from the driver's first moment, red fast in a panic, and all of them keep
  # their level when the processor stops (docs/lights.md).
  fdt get value stayput_gpio /pl061@9030000 phandle
  fdt mknode / leds
  fdt set /leds compatible gpio-leds
  fdt mknode /leds hat-green
  fdt set /leds/hat-green label status:green
  fdt set /leds/hat-green gpios <${stayput_gpio} @LED_STATUS_GREEN@>
  fdt set /leds/hat-green retain-state-shutdown
  fdt mknode /leds hat-yellow
  fdt set /leds/hat-yellow label status:yellow
  fdt set /leds/hat-yellow gpios <${stayput_gpio} @LED_STATUS_YELLOW@>
  fdt set /leds/hat-yellow retain-state-shutdown
  fdt set /leds/hat-yellow linux,default-trigger timer
  fdt set /leds/hat-yellow led-pattern <0x3e8 0x3e8>
  fdt mknode /leds hat-red
  fdt set /leds/hat-red label status:red
  fdt set /leds/hat-red gpios <${stayput_gpio} @LED_STATUS_RED@>
  fdt set /leds/hat-red retain-state-shutdown
  fdt set /leds/hat-red panic-indicator

  echo "stayput: starting slot ${stayput_slot}"
  booti @KERNEL@ @INITRD@:${stayput_initrd} @FDT@
fi
