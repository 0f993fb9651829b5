#!/usr/bin/env bash
# `entrain bench`: its table and its file, with shards and without, on one rank and two; and that planned memory is the memory in use.
. "$(dirname "$0")/common.sh"
need_python json

pack_synthetic "$work/train" train 12
write_config "$work/config.json" "$work/train" ""
measure() { # RANKS NORM PRECISION OPTION...
    local n=$1 norm=$2 precision=$3
    shift 3
    rm -f "$work/figures.json"
    expect_code 0 entrain_on "$n" bench "$work/config.json" --steps 3 --warmup 1 --json "$work/figures.json" --set norm.type="$norm" "$@"
    expect_text "a step takes" "convolution forward" "norm: moments" "optimiser" "MiB planned"
    check "figures of $norm, $precision, $n ranks" "$PYTHON" "$here/bench.py" "$work/figures.json" "$norm" "$precision" "$n"
}

say "with shards"
measure 1 en fp32
expect_text "data, waited for"
measure 2 bn fp32
expect_text "communication, waited for"

say "with random images"
measure 1 gn fp32 --random 150 --set data.train=nowhere --set 'data.crop=[97,97]'
expect_text "random images of 150 classes"
expect_no_text "data, waited for"
if entrain info | grep -q "bf16 by the device"; then
    measure 1 en bf16 --random 19 --set train.precision=bf16 --set 'data.crop=[97,97]'
    expect_text "bfloat16 activations"
else
    # No instructions for it: a note, and float32.
    measure 1 en fp32 --random 19 --set train.precision=bf16 --set 'data.crop=[97,97]'
    expect_text "train.precision: bf16" "float32 is used"
fi

say "mistakes"
expect_code 2 entrain bench
expect_code 2 entrain bench "$work/config.json" --steps 0
expect_code 2 entrain bench "$work/config.json" --random 1
expect_code 3 entrain bench "$work/config.json" --random 5 --set data.crop=null
expect_text "data.crop" "expected [h, w]"
expect_code 4 entrain bench "$work/config.json" --set data.train="$work/nowhere"
expect_code 5 entrain bench "$work/config.json" --steps 1 --warmup 0 --json "$work/nowhere/figures.json"
expect_text "--json $work/nowhere/figures.json"

finish
