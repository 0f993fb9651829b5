#!/usr/bin/env bash
# What can go wrong with GPUs and between them, brought about in the simulator: each ends the job with its exit code and says what it was.
. "$(dirname "$0")/../../e2e/common.sh"
need_python numpy h5py
pack_synthetic "$work/train" train 8
write_config "$work/config.json" "$work/train" ""
run() { # RANKS ARGUMENT...
    local n=$1
    shift
    rm -rf "$work/run"
    entrain_on "$n" "$work/config.json" --out "$work/run" --device cuda "$@"
}

say "devices"
CUSIM_DEVICES=0 expect_code 5 run 1 && expect_text "--device cuda: no usable GPU" "nvidia-smi"
CUSIM_DEVICES=0 expect_code 0 entrain info && expect_text "device       cpu" "no usable GPU"
CUSIM_DEVICES=1 expect_code 5 run 2 && expect_text "$(hostname)" "ranks 0 and 1 would share GPU 0" "2 ranks were started here and 1 GPUs are visible"
expect_code 0 entrain info --device cuda && expect_text "device       cuda: GPU 0" "bf16 by the device"
expect_code 0 entrain check "$work/config.json" --device cuda && expect_text "device" "GPU 0"

say "memory"
CUSIM_MEMORY=50000000 expect_code 5 run 1 && expect_text "not enough memory"

say "a collective that never ends"
started=$SECONDS
CUSIM_NCCL_STALL=40 ENTRAIN_NCCL_TIMEOUT=4 expect_code 6 run 2 && expect_text "NCCL: " "has not ended in ENTRAIN_NCCL_TIMEOUT seconds" "collective "
[ $((SECONDS - started)) -lt 60 ] || fail "it took $((SECONDS - started)) s"

say "a collective that fails"
CUSIM_NCCL_ERROR=40 expect_code 6 run 2 && expect_text "NCCL: " "rank "

say "a rank that dies"
started=$SECONDS
expect_code 137 bash -c '. "$0"/common.sh >/dev/null; trap - EXIT
    (sleep 6; pkill -9 -n -f "entrain $1.* --device cuda") &
    OMP_NUM_THREADS=1 mpirun --oversubscribe --bind-to none -np 2 "$ENTRAIN_PROGRAM" "$1" --out "$2" --device cuda --set train.iterations=100000' \
    "$here" "$work/config.json" "$work/run"
[ $((SECONDS - started)) -lt 40 ] || fail "it took $((SECONDS - started)) s"
rm -rf "$work/run"

say "a loss that is not finite, read late"
expect_code 7 run 1 --set optimizer.lr=1e30 --set train.iterations=40 --set train.log_every=20 && expect_text "is not finite" "step "
expect_code 7 run 2 --set optimizer.lr=1e30 --set train.iterations=40 --set train.log_every=20 && expect_text "is not finite" "step "
[ -z "$(ls "$work/run/checkpoints" 2>/dev/null)" ] || fail "a checkpoint was written all the same"

say "stop and go on"
expect_code 75 bash -c '"$ENTRAIN_PROGRAM" "$0" --out "$1" --device cuda --set train.iterations=100000 --set train.log_every=100000 & pid=$!
    sleep 5; kill -USR1 $pid; wait $pid' "$work/config.json" "$work/run"
expect_text "a checkpoint is written"
at=$(sed 's/step-0*\([0-9]*\).h5/\1/' "$work/run/checkpoints/latest")
expect_code 0 entrain "$work/config.json" --out "$work/run" --device cuda --resume --set train.iterations=$((at + 2))
finish
