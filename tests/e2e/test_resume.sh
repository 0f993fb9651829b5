#!/usr/bin/env bash
# A run that was stopped, or killed at any moment, and resumed, is the unbroken run: the same figures as text, the same weights and momenta
# bit for bit. On one rank and on two, with shuffling, augmentation and dropout on.
. "$(dirname "$0")/common.sh"
need_python numpy h5py
runs() { "$PYTHON" "$here/runs.py" "$@"; }
STEPS=8
KILLS=${E2E_KILLS:-4} # at moments by chance
RANDOM=${E2E_SEED:-17}

pack_synthetic "$work/train" train 12
pack_synthetic "$work/val" val 2
write_config "$work/config.json" "$work/train" "$work/val"
sed -i -e 's/"head": "deeplab_v2"/"head": "fcn"/' -e 's/"crop": \[48, 64\]/"crop": [32, 48]/' "$work/config.json"
options=(--set train.iterations=$STEPS --set train.eval_every=4)

command_on() { # N RUN OPTION...: sets $command
    local n=$1 run=$2
    shift 2
    command=("$ENTRAIN_PROGRAM" "$work/config.json" --out "$run" "${options[@]}" "$@")
    [ "$n" = 1 ] || command=(mpirun --oversubscribe --bind-to none -np "$n" "${command[@]}")
}

stop() { # CODE WHEN SIGNAL WHOM RUN: run the command, which must end with this code
    local code=$1
    shift
    OMP_NUM_THREADS=1 expect_code "$code" limited "$PYTHON" "$here/stop.py" "$@" "${command[@]}"
}

stop_at_random() { # WHEN: false where the run had finished before
    local code=0
    OMP_NUM_THREADS=1 limited "$PYTHON" "$here/stop.py" "$1" KILL $whom "$run" "${command[@]}" >"$output" 2>&1 || code=$?
    [ $code != 99 ] || return 1
    [ $code = 137 ] && return 0
    fail "exit code $code from a killed run"
    show_output
}

resume() { # N RUN WHAT: to the end, and compare
    command_on "$1" "$2" "${every[@]}" --resume
    OMP_NUM_THREADS=1 expect_code 0 limited "${command[@]}"
    check "$3, resumed: equal to the unbroken run" runs same "$work/unbroken-$1" "$2"
}

no_unfinished() { # RUN: nothing half-written is left, and nothing half-written has a checkpoint's name
    check "no unfinished file in $1" bash -c "! ls '$1'/checkpoints/*.tmp '$1'/*.tmp 2>/dev/null"
}

for n in 1 2; do
    say "$n ranks: unbroken"
    every=(--set train.checkpoint_every=0)
    command_on $n "$work/unbroken-$n" "${every[@]}"
    begin=$(date +%s%N)
    OMP_NUM_THREADS=1 expect_code 0 limited "${command[@]}" || give_up "the unbroken run failed"
    milliseconds=$((($(date +%s%N) - begin) / 1000000))
    if [ $n = 2 ] && runs same "$work/unbroken-1" "$work/unbroken-2" >/dev/null 2>&1; then
        fail "two ranks round as one does: the comparison sees nothing, or two ranks do not run"
    fi

    # A checkpoint at each step also leaves time for a signal to arrive before the end.
    every=(--set train.checkpoint_every=1 --set train.keep=2)
    for signal in USR1 TERM; do
        [ $n = 1 ] || [ $signal = USR1 ] || continue # mpirun answers TERM by killing the ranks
        say "$n ranks: stopped by $signal"
        run=$work/$signal-$n
        command_on $n "$run" "${every[@]}"
        if stop 75 step=3 $signal command "$run"; then
            expect_text "stopped on request after iteration" "of $STEPS" "--resume"
            at=$(sed -n 's/.*stopped on request after iteration \([0-9]*\) .*/\1/p' "$output" | head -n 1)
            same_text "lines about the stop" 1 "$(grep -c 'stopped on request' "$output")"
            same_text "\`latest\` after the stop" "$(printf 'step-%08d.h5' "$at")" "$(cat "$run/checkpoints/latest")"
            same_text "training lines after the stop" "$at" "$(grep -c '"train"' "$run/metrics.jsonl")"
            no_unfinished "$run"
        fi
        resume $n "$run" "stopped by $signal"
        rm -rf "$run"
    done

    say "$n ranks: killed while a checkpoint is written"
    run=$work/written-$n
    whom=command
    [ $n = 1 ] || whom=rank=0
    command_on $n "$run" "${every[@]}"
    stop 137 writing=3 KILL $whom "$run"
    check "the unfinished file is left, or the test missed its moment" test -e "$run/checkpoints/step-00000003.h5.tmp" -a ! -e "$run/checkpoints/step-00000003.h5"
    resume $n "$run" "killed while writing a checkpoint"
    expect_text "resuming from $run/checkpoints/step-00000002.h5"
    no_unfinished "$run"
    rm -rf "$run"

    run=$work/killed-$n
    command_on $n "$run" "${every[@]}" --resume
    for ((kill = 0; kill < KILLS; kill++)); do
        delay=$((milliseconds / 5 + RANDOM % (milliseconds * 7 / 10))) # checkpoints make these runs longer than the unbroken one
        [ $n = 1 ] || whom=rank=$((RANDOM % n))
        say "$n ranks: killed after $delay ms, $(ls "$run"/checkpoints/step-*.h5 2>/dev/null | wc -l) checkpoints are there"
        stop_at_random after=$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000))) || break
    done
    resume $n "$run" "killed again and again"
    no_unfinished "$run"
    rm -rf "$run"
done

# The same bits in bfloat16; where the processor lacks it this is float32 once more.
for n in 1 2; do
    say "$n ranks: bfloat16, stopped by USR1"
    every=(--set train.checkpoint_every=0 --set train.precision=bf16)
    rm -rf "$work/unbroken-$n"
    command_on $n "$work/unbroken-$n" "${every[@]}"
    OMP_NUM_THREADS=1 expect_code 0 limited "${command[@]}" || give_up "the unbroken run failed"
    every=(--set train.checkpoint_every=1 --set train.keep=2 --set train.precision=bf16)
    command_on $n "$work/bf16-$n" "${every[@]}"
    stop 75 step=3 USR1 command "$work/bf16-$n"
    resume $n "$work/bf16-$n" "bfloat16, stopped by USR1"
done

finish
