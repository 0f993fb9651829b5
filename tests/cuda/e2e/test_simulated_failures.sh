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

say "a rank that cannot join"
started=$SECONDS
for call in ncclCommInitRankConfig:1 ncclCommInitRankConfig:2 cudaEventCreateWithFlags:40; do
    expect_code 6 mpirun --oversubscribe --bind-to none -np 1 "$ENTRAIN_PROGRAM" info --device cuda : \
        -np 1 -x CUSIM_FAIL=$call "$ENTRAIN_PROGRAM" info --device cuda && expect_text "setting up the communicators: rank 1: "
done
[ $((SECONDS - started)) -lt 60 ] || fail "it took $((SECONDS - started)) s"

say "a collective that never ends"
started=$SECONDS
CUSIM_NCCL_STALL=40 ENTRAIN_NCCL_TIMEOUT=4 expect_code 6 run 2 && expect_text "NCCL: " "has not ended in ENTRAIN_NCCL_TIMEOUT seconds" "collective "
[ $((SECONDS - started)) -lt 60 ] || fail "it took $((SECONDS - started)) s"

say "a collective that fails"
CUSIM_NCCL_ERROR=40 expect_code 6 run 2 && expect_text "NCCL: " "rank "

# Start in the background, wait until steps are being made; $job is the process.
start() { # COMMAND...
    rm -rf "$work/run"
    "$@" --out "$work/run" --device cuda --set train.iterations=100000 --set train.log_every=1 >"$output" 2>&1 </dev/null &
    job=$!
    for _ in $(seq 300); do
        grep -q '^iter 2/' "$output" && return
        sleep 0.2
    done
    fail "no step was made in 60 s"
    show_output
}
ended() { # CODE...
    local code=0
    wait "$job" || code=$?
    [[ " $* " == *" $code "* ]] || { fail "exit code $code, expected $*"; show_output; }
}

say "a rank that dies"
start env OMP_NUM_THREADS=1 mpirun --oversubscribe --bind-to none -np 2 "$ENTRAIN_PROGRAM" "$work/config.json"
started=$SECONDS
kill -9 "$(pgrep -n -P "$job" -x entrain)"
ended 137 139 # Open MPI 4.1.4's mpirun sometimes crashes while it clears up after a killed rank
[ $((SECONDS - started)) -lt 20 ] || fail "it took $((SECONDS - started)) s"

say "a loss that is not finite, read late"
for n in 1 2; do
    expect_code 7 run $n --set optimizer.lr=1e6 --set train.iterations=40 --set train.log_every=20 && expect_text "step " "Lower optimizer.lr"
    [ -z "$(ls "$work/run/checkpoints" 2>/dev/null)" ] || fail "a checkpoint was written all the same"
done

say "stop and go on"
start "$ENTRAIN_PROGRAM" "$work/config.json"
kill -USR1 "$job"
ended 75
expect_text "a checkpoint is written"
at=$(sed 's/step-0*\([0-9]*\).h5/\1/' "$work/run/checkpoints/latest")
expect_code 0 entrain "$work/config.json" --out "$work/run" --device cuda --resume --set train.iterations=$((at + 2))
finish
