#!/usr/bin/env bash
# What goes wrong in the middle of a run: a full disk, a folder that cannot be written, a loss that is not finite, a damaged or foreign
# checkpoint, a rank that dies. The right exit code on every rank, and nothing lost that was there before.
. "$(dirname "$0")/common.sh"
need_python numpy h5py
. "$here/errors.sh"
runs() { "$PYTHON" "$here/runs.py" "$@"; }

pack_synthetic "$work/train" train 8
config=$work/config.json
write_config "$config" "$work/train" ""
small=(--set 'data.crop=[32,48]' --set train.iterations=4 --set train.checkpoint_every=1 --set schedule.type=constant)
expect_code 0 entrain "$config" --out "$work/unbroken" "${small[@]}" || give_up "the unbroken run failed"
size=$(stat -c %s "$work/unbroken/checkpoints/step-00000004.h5")
export OMP_NUM_THREADS=1 # as the ranks have, so that their files and this one's can be compared
rm -rf "$work/unbroken"
expect_code 0 entrain "$config" --out "$work/unbroken" "${small[@]}"

say "the disk is full when the third checkpoint is written"
disk=$work/disk
clean_up() { mountpoint -q "$disk" && umount "$disk"; }
full_disk() { # N
    local run=$disk/run
    rm -rf "${disk:?}"/*
    head -c $((size * 3 / 2)) /dev/zero >"$disk/ballast"
    expect_code 4 entrain_on "$1" "$config" --out "$run" "${small[@]}"
    expect_text "step-00000003.h5" "No space left on device"
    same_text "\`latest\`" step-00000002.h5 "$(cat "$run/checkpoints/latest")"
    check "no unfinished file is left" bash -c "! ls '$run'/checkpoints/*.tmp '$run'/*.tmp 2>/dev/null"
    rm "$disk/ballast"
    expect_code 0 entrain_on "$1" "$config" --out "$run" "${small[@]}" --resume
    expect_text "step-00000002.h5: 2 iterations are done"
}
mkdir "$disk"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=$((size * 4 + size / 16)) tmpfs "$disk" 2>/dev/null; then
    full_disk 2
    full_disk 1
    check "after a full disk, resumed: equal to the unbroken run" runs same "$work/unbroken" "$disk/run"
    umount "$disk"
else
    echo "   skipped: needs root and the right to mount a small file system"
fi

say "a file cannot grow (RLIMIT_FSIZE)"
rm -rf "$work/run"
expect_code 0 entrain "$config" --out "$work/run" "${small[@]}" --set train.iterations=2
limit_files() { (trap '' XFSZ; ulimit -f $((size / 2048)); "$@"); } # half a checkpoint, in KiB
expect_code 4 limit_files entrain "$config" --out "$work/run" "${small[@]}" --resume
expect_text "step-00000003.h5" "File too large"
same_text "\`latest\`" step-00000002.h5 "$(cat "$work/run/checkpoints/latest")"
expect_code 0 entrain "$config" --out "$work/run" "${small[@]}" --resume
expect_text "step-00000002.h5: 2 iterations are done"

say "a run folder that cannot be made"
both 4 "config.json: cannot make this folder: Not a directory" "$config" --out "$config/run" "${small[@]}"
mkdir "$work/locked"
chmod 555 "$work/locked"
if [ "$(id -u)" != 0 ]; then
    both 4 "$work/locked|Permission denied" "$config" --out "$work/locked/run" "${small[@]}"
else
    chmod 755 "$work"
    as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    if "${as_nobody[@]}" test -x "$ENTRAIN_PROGRAM" -a -r "$config" 2>/dev/null; then
        expect_code 4 limited "${as_nobody[@]}" "$ENTRAIN_PROGRAM" "$config" --out "$work/locked/run" "${small[@]}"
        expect_text "$work/locked" "Permission denied"
    else
        echo "   skipped: root may write everywhere, and nobody cannot run the program"
    fi
fi

say "figures that are not finite"
blown() { # TEXTS OPTION...: alone and on two ranks, ends with 7 and names step and layer
    local texts=$1 n step
    shift
    for n in 1 2; do
        rm -rf "$work/blown"
        expect_code 7 entrain_on $n "$config" "${small[@]}" --out "$work/blown" --set train.iterations=100 --set train.checkpoint_every=0 "$@" || continue
        expect_texts "$texts|optimizer.lr"
        grep -Eq '(not finite is|the gradient of) (backbone|head|aux)\.[a-z0-9.]+ \(' "$output" || { fail "no layer is named"; show_output; }
        step=$(sed -n 's/^entrain: step \([0-9]*\): .*/\1/p' "$output") # two lines, if both ranks speak
        same_text "training lines" $((step - 1)) "$(grep -c '"train"' "$work/blown/metrics.jsonl")"
        check "no NaN in metrics.jsonl" bash -c "! grep -iE 'nan|inf' '$work/blown/metrics.jsonl'"
    done
}
# Weights grow by many orders of magnitude a step, past what float32 holds.
blown "the loss is " --set optimizer.lr=1e6 --set optimizer.head_lr_multiplier=1e6
# Images that are not finite: a ReLU hides them from the loss, but not from the gradient.
blown "step 1: the gradient's norm is nan|first layer with a value that is not finite is backbone.conv1 " --set 'data.std=[1e-40,1e-40,1e-40]'

say "checkpoints: of another network, damaged, gone"
run=$work/run
before=$(md5sum "$run/config.json" "$run/metrics.jsonl")
more=("${small[@]}" --set train.iterations=5 --resume)
both 4 "step-00000004.h5|does not fit this network|backbone.bn1.ratio.fc1.weight|model" "$config" --out "$run" "${more[@]}" --set norm.type=bn
same_text "config.json and metrics.jsonl after a refused checkpoint" "$before" "$(md5sum "$run/config.json" "$run/metrics.jsonl")"
cp "$run/checkpoints/step-00000004.h5" "$work/sound.h5"
"$PYTHON" - "$run/checkpoints/step-00000004.h5" <<'END'
import sys, h5py
with h5py.File(sys.argv[1], "r+") as file:
    file["model/head.convs.1.weight"][0, 0, 1, 1] += 0.5
END
both 4 "step-00000004.h5|checksum" "$config" --out "$run" "${more[@]}"
cut_off "$run/checkpoints/step-00000004.h5" 70
both 4 "step-00000004.h5|damaged" "$config" --out "$run" "${more[@]}"
expect_text "--resume goes on from the one before"
same_text "config.json and metrics.jsonl after a damaged checkpoint" "$before" "$(md5sum "$run/config.json" "$run/metrics.jsonl")"
rm "$run/checkpoints/step-00000004.h5"
expect_code 0 entrain "$config" --out "$run" "${small[@]}" --resume
expect_text "step-00000003.h5: 3 iterations are done"
check "resumed from the checkpoint before: equal to the unbroken run" runs same "$work/unbroken" "$run"
both 4 "nothing.h5" eval "$config" --set data.val="$work/train" --checkpoint "$work/nothing.h5"
both 4 "config.json" eval "$config" --set data.val="$work/train" --checkpoint "$config"
both 4 "config.json" predict "$config" --checkpoint "$run" --out "$work/pictures" "$config"

say "a rank dies"
rm -rf "$run"
code=0
limited "$PYTHON" "$here/stop.py" step=2 KILL rank=1 "$run" mpirun --oversubscribe --bind-to none -np 2 \
    "$ENTRAIN_PROGRAM" "$config" --out "$run" "${small[@]}" --set train.iterations=100000 --set train.checkpoint_every=0 >"$output" 2>&1 || code=$?
seconds=$(tail -n 1 "$output")
case $code in
    0 | 99 | 124) fail "exit code $code after a rank was killed"; show_output ;;
    *) echo "   the job ended with $code, $seconds s after the death" ;;
esac
awk -v s="$seconds" 'BEGIN { exit !(s <= 10) }' || fail "the job went on for $seconds s"

finish
