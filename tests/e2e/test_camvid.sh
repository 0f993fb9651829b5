#!/usr/bin/env bash
# Real data: CamVid packed and read back by another program, a few steps of the shipped configuration on two ranks, evaluation and
# prediction in the data set's own ids. Needs the data at ../shared/data/camvid or $ENTRAIN_DATA/camvid.
. "$(dirname "$0")/common.sh"
need_python numpy h5py PIL
data=${ENTRAIN_DATA:-$ENTRAIN_SOURCE/../shared/data}/camvid
[ -d "$data/val" ] || skip "no CamVid at $data; set ENTRAIN_DATA to the folder that holds camvid/"

say "pack, verify, read back"
expect_code 0 ranks 2 "$ENTRAIN_PROGRAM" pack camvid --root "$data" --split val --out "$work/val" --shards 3 || give_up "no shards"
expect_code 0 entrain verify "$work/val"
expect_text "101 samples in 3 shards" "every image 360 x 480"
expect_code 0 "$PYTHON" "$here/camvid.py" labels "$work/val" "$data" val
cat "$output"

say "train two steps on two ranks"
# The training split is not packed: what is tested is not how well it learns.
config=$ENTRAIN_SOURCE/configs/camvid_resnet18.json
set_data=(--set data.train="$work/val" --set data.val="$work/few")
mkdir -p "$work/root/val" "$work/root/valannot"
for name in $(ls "$data/val" | head -n 40 | awk 'NR % 10 == 1'); do
    ln -s "$(realpath "$data/val/$name")" "$work/root/val/$name"
    ln -s "$(realpath "$data/valannot/$name")" "$work/root/valannot/$name"
done
expect_code 0 entrain pack camvid --root "$work/root" --split val --out "$work/few"
expect_code 0 ranks 2 "$ENTRAIN_PROGRAM" "$config" "${set_data[@]}" --set train.iterations=2 --set schedule.warmup=1 --set train.log_every=1 --out "$work/run" ||
    give_up "training failed"
check "two finite steps" "$PYTHON" "$here/runs.py" finite "$work/run" 2

say "evaluate and predict"
expect_code 0 ranks 2 "$ENTRAIN_PROGRAM" eval "$config" "${set_data[@]}" --checkpoint "$work/run" --json "$work/eval.json"
expect_text "mIoU" "bicyclist" "pixel accuracy"
check "the same figures as in training" "$PYTHON" "$here/camvid.py" figures "$work/eval.json" "$work/run"
picture=$(ls "$work"/root/val/*.png | head -n 1)
name=$(basename "$picture" .png)
expect_code 0 entrain predict "$config" --checkpoint "$work/run" --out "$work/pictures" --logits "$work/logits.h5" "$picture"
check "the pictures" "$PYTHON" "$here/camvid.py" pictures "$work/pictures" "$name" "$picture" "$work/logits.h5"

finish
