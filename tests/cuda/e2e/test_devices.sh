#!/usr/bin/env bash
# The GPUs do the CPU's step, and each goes on from the other's checkpoint: see devices.py.
. "$(dirname "$0")/../../e2e/common.sh"
need_python numpy h5py
entrain info --device cuda >"$output" 2>&1 || skip "$(grep -o 'no usable GPU.*' "$output")"
gpus=$(sed -n 's/^GPUs *//p' "$output")
pack_synthetic "$work/train" train 12
PYTHONPATH=$here "$PYTHON" "$(dirname "$0")/devices.py" "$work" "$gpus" || fail "the devices do not agree"
finish
