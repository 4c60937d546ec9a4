# boot.scr on the loader partition: counts a try, picks a slot and hands over to the slot's own script. It is never
# rewritten in the field, so it knows nothing of kernels and addresses. U-Boot sets devtype, devnum and scriptaddr before
# it runs. What it gives to slot.scr: stayput_slot, stayput_boot, stayput_why, stayput_generation, and stayput_watchdog,
# which is empty on a board whose watchdog cannot be started from here. Numbers are hexadecimal. docs/boot.md explains it.

setenv stayput_watchdog
@BOARDS@
setenv stayput_arm 'if test -n "${stayput_watchdog}"; then run stayput_watchdog; fi'
run stayput_arm

# The boot state: U-Boot's environment in one sector, in two copies. The valid one with the higher generation decides.
${devtype} dev ${devnum}
setenv stayput_newest
setenv stayput_highest 0
for copy in @COPY_0@ @COPY_1@; do
  setenv stayput_generation 0
  if ${devtype} read ${scriptaddr} ${copy} 1; then
    if env import -c ${scriptaddr} 200 stayput_generation; then
      if itest ${stayput_generation} -gt ${stayput_highest}; then
        setenv stayput_highest ${stayput_generation}
        setenv stayput_newest ${copy}
      fi
    fi
  fi
done

# A new card's, where no copy can be read: slot A first, slot B not there.
setenv stayput_generation 0
setenv stayput_first a
setenv stayput_a whole
setenv stayput_a_tries @TRIES@
setenv stayput_a_last 0
setenv stayput_b empty
setenv stayput_b_tries 0
setenv stayput_b_last 0
if test -n "${stayput_newest}"; then
  ${devtype} read ${scriptaddr} ${stayput_newest} 1
  env import -c ${scriptaddr} 200 @STATE@
else
  echo "stayput: no copy of the boot state can be read; starting as a new card does"
  setenv stayput_newest @COPY_1@
fi
if test "${stayput_newest}" = "@COPY_0@"; then
  setenv stayput_spare @COPY_1@
else
  setenv stayput_spare @COPY_0@
fi

# Writing goes to the copy that does not decide. A card that refuses to be written must still start.
setenv stayput_save 'env export -c -s 200 ${scriptaddr} @STATE@ && ${devtype} write ${scriptaddr} ${stayput_spare} 1; setenv stayput_swap ${stayput_spare}; setenv stayput_spare ${stayput_newest}; setenv stayput_newest ${stayput_swap}'

# The script is copied before it runs, so slot.scr may take this one's place in memory. It comes back when the slot
# cannot be started.
setenv stayput_start 'run stayput_arm; echo "stayput: slot ${stayput_slot} (${stayput_why}), generation ${stayput_generation}"; load ${devtype} ${devnum}:${stayput_boot} ${scriptaddr} slot.scr && source ${scriptaddr}'

if test "${stayput_first}" = "b"; then
  setenv stayput_order "b a"
else
  setenv stayput_order "a b"
fi

# First each slot that is whole and has tries left. When there is none, both get all tries back, and one after the other
# is started, whatever is known of it: three power cuts in a row must not end a box. What is only a piece fails to load,
# or at the kernel's check of its root.
setenv stayput_why first
for stayput_round in first last; do
  if test "${stayput_round}" = "last"; then
    setenv stayput_why last
    setenv stayput_a_tries @TRIES@
    setenv stayput_b_tries @TRIES@
    # Both failed to load just now, which took two generations and will take a third: so each of them comes first in turn.
    if test "${stayput_skip}" = "load"; then
      setexpr stayput_turn ${stayput_generation} "&" 1
      if test "${stayput_turn}" = "1"; then
        setenv stayput_order "b a"
      else
        setenv stayput_order "a b"
      fi
    fi
  fi
  for slot in ${stayput_order}; do
    setenv stayput_slot ${slot}
    if test "${slot}" = "b"; then
      setenv stayput_boot @BOOT_B@
      setenv stayput_standing ${stayput_b}
      setenv stayput_tries ${stayput_b_tries}
    else
      setenv stayput_boot @BOOT_A@
      setenv stayput_standing ${stayput_a}
      setenv stayput_tries ${stayput_a_tries}
    fi
    setenv stayput_skip piece
    if test "${stayput_standing}" = "whole" || test "${stayput_standing}" = "good"; then
      setenv stayput_skip tries
      if itest ${stayput_tries} -gt 0; then
        setenv stayput_skip
      fi
    fi
    if test "${stayput_round}" = "last"; then
      setenv stayput_skip
    fi
    if test -n "${stayput_skip}"; then
      echo "stayput: slot ${slot} is ${stayput_standing} and has ${stayput_tries} tries left"
    else
      setexpr stayput_tries ${stayput_tries} - 1
      setexpr stayput_generation ${stayput_generation} + 1
      if test "${slot}" = "b"; then
        setenv stayput_b_tries ${stayput_tries}
        setenv stayput_b_last ${stayput_generation}
      else
        setenv stayput_a_tries ${stayput_tries}
        setenv stayput_a_last ${stayput_generation}
      fi
      run stayput_save
      run stayput_start
      setenv stayput_skip load
    fi
    # Why the next one: what is wrong with the slot that comes first.
    if test "${stayput_why}" = "first"; then
      setenv stayput_why ${stayput_skip}
    fi
  done
done

# Not a step further: U-Boot would go on with USB and the network, and start what a stranger offers there.
echo "stayput: no slot starts on this board; trying again"
run stayput_arm
sleep 10
reset
