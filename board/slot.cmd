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
# Whether the file just loaded is the one that this script was made for: U-Boot itself checks little of it. A slot with a
# damaged file gives way at once. When nothing else is left it is started all the same.
setenv stayput_check 'setenv stayput_bad 1; crc32 ${fileaddr} ${filesize} ${scriptaddr}; for sum in ${stayput_sums}; do if itest.l *${scriptaddr} == ${sum}; then setenv stayput_bad; fi; done; if test -n "${stayput_bad}"; then echo "stayput: a file of slot ${stayput_slot} is damaged"; fi; test -z "${stayput_bad}" || test "${stayput_why}" = "last"'

@BOARDS@

# booti does not return from a kernel that started.
echo "stayput: slot ${stayput_slot} did not start on board ${board}"
