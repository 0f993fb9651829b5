#!/usr/bin/env bash
# Packing that is killed at any moment, or stopped, and started again with the same command ends with the files of an unbroken run.
. "$(dirname "$0")/common.sh"
scenes=(pack synthetic --split train --images 160 --size 80x96 --shards 12)
staged() { find "$work/out" -name '*.staged' 2>/dev/null | wc -l; }
named() { find "$work/out" -name '*.h5' 2>/dev/null | wc -l; }

# Wait until CONDITION holds or the process PID has gone. The moment is as exact as it gets from outside.
wait_for() { # PID CONDITION...
    local pid=$1
    shift
    until "$@"; do kill -0 "$pid" 2>/dev/null || return 0; done
}
at_least() { [ "$("$1")" -ge "$2" ]; }
begun() { [ -e "$work/out/train.packing" ]; }
publishing() { grep -qs '^state publishing' "$work/out/train.packing" || at_least named 1; }

# Start packing on N ranks, kill all ranks with SIGKILL once CONDITION holds.
kill_at() { # N CONDITION...
    local n=$1 pid
    shift
    if [ "$n" = 1 ]; then
        "$ENTRAIN_PROGRAM" "${scenes[@]}" --out "$work/out" >"$output" 2>&1 &
        pid=$!
        wait_for $pid "$@"
        kill -9 $pid 2>/dev/null
    else
        OMP_NUM_THREADS=1 mpirun --oversubscribe --bind-to none -np "$n" "$ENTRAIN_PROGRAM" "${scenes[@]}" --out "$work/out" >"$output" 2>&1 &
        pid=$!
        wait_for $pid "$@"
        kill -9 $(ps -o pid= --ppid $pid) 2>/dev/null
    fi
    wait $pid 2>/dev/null
}

# The same command again, on N ranks: it succeeds, and nothing but the unbroken run's files is there.
ends_well() { # WHAT N
    expect_code 0 entrain_on "$2" "${scenes[@]}" --out "$work/out"
    diff -r "$work/whole" "$work/out" >"$output" 2>&1 || { fail "$1: other files than an unbroken run's"; show_output; }
    rm -rf "$work/out"
}

expect_code 0 entrain "${scenes[@]}" --out "$work/whole" || give_up "no shards to compare with"

say "killed once"
interrupted=0
for case in "1 begun" "1 at_least staged 1" "1 at_least staged 5" "1 at_least staged 11" "1 publishing" "2 at_least staged 1" "2 at_least staged 6"; do
    read -r n moment <<<"$case"
    kill_at $n $moment
    left=$(staged)
    [ "$left" -gt 0 ] && [ "$(named)" -lt 12 ] && interrupted=$((interrupted + 1))
    echo "   $n ranks, $moment: $left of 12 waiting, $(named) named"
    ends_well "$n ranks, killed at: $moment" $n
done
[ $interrupted -ge 3 ] || fail "only $interrupted runs were killed while shards were waiting: nothing was tried"

say "killed again and again, with other numbers of ranks"
for n in 1 2 1; do
    before=$(staged)
    kill_at $n at_least staged $((before + 2))
    [ "$(staged)" -ge "$before" ] || [ "$(named)" -gt 0 ] || fail "finished shards were lost"
done
ends_well "killed three times" 2

say "stopped"
"$ENTRAIN_PROGRAM" "${scenes[@]}" --out "$work/out" --threads 2 >"$output" 2>&1 &
pid=$!
wait_for $pid at_least staged 3
kill -TERM $pid 2>/dev/null
code=0
wait $pid || code=$?
[ $code = 75 ] || fail "exit code $code after TERM, expected 75"
expect_text "stopped on request" "run the same command again"
at_least staged 3 || fail "no shards wait after TERM"
expect_code 0 entrain "${scenes[@]}" --out "$work/out"
expect_text "going on: " " of 12 shards are there"
diff -r "$work/whole" "$work/out" >"$output" 2>&1 || fail "stopped: other files than an unbroken run's"
rm -rf "$work/out"

say "two runs in one folder"
"$ENTRAIN_PROGRAM" "${scenes[@]}" --out "$work/out" >"$work/first" 2>&1 &
pid=$!
wait_for $pid begun
for split in train val; do
    expect_code 4 entrain pack synthetic --split $split --images 12 --size 48x48 --shards 12 --out "$work/out"
    expect_text "another \`entrain pack\` is writing here"
done
code=0
wait $pid || code=$?
[ $code = 0 ] || { fail "exit code $code of the first run"; cat "$work/first"; }
diff -r "$work/whole" "$work/out" >"$output" 2>&1 || fail "two runs: other files than an unbroken run's"
expect_code 0 entrain "${scenes[@]}" --out "$work/out" && expect_text "the 12 shards of 'train' that are there will be replaced"
rm -rf "$work/out"

say "a full disk"
full_disk() { (trap '' XFSZ; ulimit -f 64; "$@"); }
kill_at 1 at_least staged 3
before=$(staged)
expect_code 4 full_disk entrain "${scenes[@]}" --out "$work/out" && expect_text "run the same command again to go on"
[ "$(staged)" -ge "$before" ] || fail "finished shards went with the failure"
ends_well "after a full disk" 1

say "other options start anew"
kill_at 1 at_least staged 4
expect_code 0 entrain "${scenes[@]}" --seed 5 --out "$work/out"
expect_text "starting anew"
expect_code 0 entrain "${scenes[@]}" --seed 5 --out "$work/seed5"
diff -r "$work/seed5" "$work/out" >"$output" 2>&1 || fail "other options: shards of the killed run are among them"
cmp -s "$work/whole/train-00000-of-00012.h5" "$work/out/train-00000-of-00012.h5" && fail "the seed makes no difference"

finish
