#!/usr/bin/env bash
# Overfitting one batch: nothing random, the same four images at every step; the reported loss must fall below 0.02 within a bounded number
# of steps. The labels are made coarse (blocks of the network's stride, ignored at boundaries), for no network of stride 8 can draw a pole.
. "$(dirname "$0")/common.sh"
need_python numpy h5py PIL

pack_synthetic "$work/train" train 4 --shards 1
"$PYTHON" "$here/shards.py" blocks "$work/train" 16 4 || give_up "cannot make the labels coarse"
expect_code 0 entrain verify "$work/train"
write_config "$work/config.json" "$work/train" "$work/train"
options=(--set 'data.crop=null' --set 'data.scale=[1,1]' --set data.flip=false --set data.photometric=false --set train.shuffle=false
    --set model.output_stride=8 --set model.dropout=0 --set optimizer.weight_decay=0 --set schedule.type=constant --set train.log_every=1)

lowest() { # RUN: "step loss" of the lowest loss
    "$PYTHON" - "$1" <<'END'
import json, sys
lines = [line for line in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")) if line["kind"] == "train"]
print(*min((line["loss"], line["step"]) for line in lines))
END
}

overfit() { # NAME STEPS OPTION...
    local name=$1 steps=$2 found
    shift 2
    say "$name"
    expect_code 0 entrain "$work/config.json" --out "$work/$name" "${options[@]}" --set train.iterations="$steps" "$@" || return
    found=$(lowest "$work/$name")
    awk -v loss="${found% *}" 'BEGIN { exit !(loss < 0.02) }' && echo "   loss ${found% *} at step ${found#* }" && return
    fail "$name: in $steps steps the loss fell to ${found% *} (step ${found#* }) only, expected less than 0.02"
    show_output
}

overfit en 80 --set model.aux_weight=0 --set optimizer.lr=0.05
overfit bn 80 --set model.aux_weight=0 --set optimizer.lr=0.05 --set norm.type=bn
overfit en_fcn_aux 80 --set model.head=fcn --set model.aux_weight=0.4 --set optimizer.lr=0.05

finish
