#!/usr/bin/env bash
# Overfitting one batch: nothing random, the same four images at every step; the reported loss must fall below 0.02 within a bounded number
# of steps, and evaluation, which has other code and running statistics, must then see it too. Pixels near a boundary of classes are
# ignored: a network of stride 8 cannot draw them, and would spend hundreds of steps on their last hundredths.
. "$(dirname "$0")/common.sh"
need_python numpy h5py PIL

pack_synthetic "$work/train" train 4 --shards 1
"$PYTHON" "$here/shards.py" outline "$work/train" 3 || give_up "cannot change the labels"
expect_code 0 entrain verify "$work/train"
write_config "$work/config.json" "$work/train" "$work/train"
options=(--set 'data.crop=null' --set 'data.scale=[1,1]' --set data.flip=false --set data.photometric=false --set train.shuffle=false
    --set model.output_stride=8 --set model.dropout=0 --set optimizer.weight_decay=0 --set schedule.type=constant --set train.log_every=1)

figures() { # RUN: lowest loss, its step, mIoU of the last evaluation
    "$PYTHON" - "$1" <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1] + "/metrics.jsonl")]
loss, step = min((line["loss"], line["step"]) for line in lines if line["kind"] == "train")
print(loss, step, lines[-1]["miou"])
END
}

overfit() { # NAME STEPS OPTION...
    local name=$1 steps=$2 loss step miou
    shift 2
    expect_code 0 entrain "$work/config.json" --out "$work/$name" "${options[@]}" --set train.iterations=$steps "$@" || return
    read -r loss step miou < <(figures "$work/$name")
    echo "   $name: loss $loss at step $step, mIoU $miou"
    awk -v x="$loss" 'BEGIN { exit !(x < 0.02) }' || fail "$name: in $steps steps the loss fell to $loss only, expected less than 0.02"
    awk -v x="$miou" 'BEGIN { exit !(x > 0.95) }' || fail "$name: evaluation finds mIoU $miou on what was learnt by heart, expected more than 0.95"
}

overfit en 60 --set model.aux_weight=0 --set optimizer.lr=0.05
overfit bn 60 --set model.aux_weight=0 --set optimizer.lr=0.05 --set norm.type=bn
overfit en_fcn_aux 160 --set model.head=fcn --set model.aux_weight=0.4 --set optimizer.lr=0.1

finish
