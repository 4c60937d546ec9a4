# boot.scr on the loader partition: picks a slot and hands over to the slot's own script. It is never rewritten in the
# field, so it knows nothing of kernels, addresses or boards. U-Boot sets devtype, devnum and scriptaddr before it runs.

# The order of slots. A counter of tries belongs here: read the boot-state sectors, drop a slot that has used up its
# tries, write the counter back before the slot's script runs.
setenv stayput_order "a b"

for slot in ${stayput_order}; do
  setenv stayput_slot ${slot}
  if test "${slot}" = "b"; then
    setenv stayput_boot @BOOT_B@
  else
    setenv stayput_boot @BOOT_A@
  fi
  echo "stayput: slot ${stayput_slot}"
  # The script is copied before it runs, so slot.scr may take this one's place in memory.
  if load ${devtype} ${devnum}:${stayput_boot} ${scriptaddr} slot.scr; then
    source ${scriptaddr}
  fi
done

# Not a step further: U-Boot would go on with USB and the network, and start what a stranger offers there.
echo "stayput: no slot starts on this board; trying again"
sleep 10
reset
