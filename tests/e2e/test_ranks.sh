#!/usr/bin/env bash
# 1, 2 and 4 ranks do the same step: see test_ranks.py.
. "$(dirname "$0")/common.sh"
need_python numpy h5py
pack_synthetic "$work/train" train 12
"$PYTHON" "$here/test_ranks.py" "$work" || fail "the ranks do not agree"
finish
