#!/usr/bin/env bash
# A short run leaves the run folder that others rely on; its config.json gives the same run again; and every key that changes the training
# trains, and does change it.
. "$(dirname "$0")/common.sh"
need_python numpy h5py
runs() { "$PYTHON" "$here/runs.py" "$@"; }

pack_synthetic "$work/train" train 12
pack_synthetic "$work/val" val 3
write_config "$work/config.json" "$work/train" "$work/val"

say "the run folder"
run=$work/run
expect_code 0 entrain "$work/config.json" --out "$run" --set train.checkpoint_every=2 --set train.keep=2 --set train.eval_every=3 \
    --set 'eval.scales=[0.75,1]' --set eval.flip=true || give_up "the run failed"
check "the run folder keeps its contract" runs folder "$run" 12
check "the log is what was printed" diff "$output" "$run/log.txt"

say "its config.json gives the same run"
expect_code 0 entrain train "$run/config.json" --out "$work/again"
check "the same run" runs same "$run" "$work/again"
check "the same config.json" diff "$run/config.json" "$work/again/config.json"
if runs same "$run" "$work/nowhere" 2>/dev/null; then fail "the comparison takes a missing run for the same"; fi

say "a run is not overwritten, and a finished one can be resumed"
state() { (cd "$1" && find . -type f ! -name log.txt -exec md5sum {} + | sort); }
before=$(state "$run")
expect_code 2 entrain "$run/config.json" --out "$run"
expect_text "$run" "holds a run already" "--resume"
same_text "the folder after a refused run" "$before" "$(state "$run")"
expect_code 0 entrain "$run/config.json" --out "$run" --resume
expect_text "step-00000006.h5" "6 iterations are done"
same_text "the folder after resuming a finished run" "$before" "$(state "$run")"
expect_code 0 entrain "$run/config.json" --out "$work/new" --resume --set train.iterations=1
expect_text "starting at iteration 0"

say "every norm and key trains, and changes the training"
base=(--set data.val=null --set 'data.crop=[32,48]' --set train.iterations=3 --set train.global_batch=3)
losses= # of the last run
train() { # OPTION...: three steps
    rm -rf "$work/variant"
    expect_code 0 entrain "$work/config.json" --out "$work/variant" "${base[@]}" "$@" || return 1
    check "finite figures with $*" runs finite "$work/variant" 3
    check "learning rates with $*" runs lr "$work/variant"
    losses=$(runs finite "$work/variant" 3 2>&1)
}
train
plain=$losses
train
same_text "losses of the same run" "$plain" "$losses"
differs() { # KEY=VALUE...: as options
    local options=() pair
    for pair in "$@"; do options+=(--set "$pair"); done
    train "${options[@]}"
    [ "$losses" != "$plain" ] || fail "$*: the losses are those of the run without it"
}
for type in bn in ln gn sn; do differs norm.type=$type; done
differs norm.type=gn norm.groups=8
for pair in norm.conv=false norm.activation=relu norm.affine=single norm.shift=outside norm.pi=5 norm.reduction=4 'norm.methods=["in","ln"]' \
    'norm.methods=["gn","bn","ln","in"]'; do
    differs "$pair"
done
differs model.output_stride=8
differs model.output_stride=32
differs model.head=fcn
differs model.aux_weight=0
differs 'train.class_weights=[1,2,0.5,1,0,3,4,1]'
differs optimizer.nesterov=true
differs optimizer.clip_norm=0.5
differs optimizer.momentum=0
differs optimizer.weight_decay=0.1
differs optimizer.weight_decay=0.1 optimizer.decay_norm=true
differs optimizer.head_lr_multiplier=3
differs schedule.warmup=2
differs schedule.type=constant
differs schedule.type=cosine
differs schedule.type=step 'schedule.milestones=[1,2]' schedule.gamma=0.5
differs train.seed=4
differs train.shuffle=false
differs data.flip=false
differs data.photometric=false
differs 'data.scale=[1,1]'
differs model.init="$run/checkpoints/step-00000004.h5"

say "bn over all ranks, or over each rank's own images"
on_two() { # OPTION...
    rm -rf "$work/two"
    expect_code 0 ranks 2 "$ENTRAIN_PROGRAM" "$work/config.json" --out "$work/two" "${base[@]}" "$@" && runs finite "$work/two" 3
}
shared=$(on_two) alone=$(on_two --set norm.sync=false)
[ "$shared" != "$alone" ] || fail "norm.sync=false changes nothing on two ranks"

finish
