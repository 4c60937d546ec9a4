# slot.scr in a slot's boot partition: what all boards share, then each served board's own part (board/<name>/slot.cmd)
# under a test for the U-Boot it is for. boot.scr has set stayput_slot and stayput_boot.

if test "${stayput_slot}" = "b"; then
  setenv stayput_root @ROOT_B@
else
  setenv stayput_root @ROOT_A@
fi
# The root file system's length in blocks and the root of its hash tree: this script fits this root and no other.
setenv stayput_verity @VERITY@
setenv stayput_initrd

@BOARDS@

# booti does not return from a kernel that started.
echo "stayput: slot ${stayput_slot} did not start on board ${board}"
