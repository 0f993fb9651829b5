#!/bin/bash
# Runs the self-tests of the simulator: run.sh BUILD_DIR plain|address|race [part...]. BUILD_DIR is where the programs of this folder were
# built. Each planted fault must be found by its message, each right program must be right and say nothing.
set -u
build=$1
kind=$2
shift 2
parts=${*:-kernels planted streams failures convolution collectives}
unset CUSIM_SHUFFLE CUSIM_LAZY CUSIM_FAIL CUSIM_MEMORY CUSIM_DEVICES CUSIM_LEAKS CUSIM_NCCL_STALL CUSIM_NCCL_ERROR
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_base_warn_component_unused=0
# Open MPI keeps memory until the end of the process; the other leaks are looked for where there is no MPI.
ranks() { ASAN_OPTIONS=detect_leaks=0 mpirun --oversubscribe --bind-to none -np "$@"; }
for program in kernels planted streams failures convolution collectives; do
    [ -x $build/cusim_$program ] || { echo "$build/cusim_$program has not been built"; exit 2; }
done
checks=0
failures=0

fail() {
    echo "FAILED: $1"
    sed 's/^/    /' <<<"$output" | head -20
    failures=$((failures + 1))
}

# right COMMAND...: ends well and says nothing about faults.
right() {
    checks=$((checks + 1))
    output=$("$@" 2>&1)
    local status=$?
    if [ $status -ne 0 ] || grep -qE 'cusim:|ERROR: |runtime error|WRONG' <<<"$output"; then fail "(status $status, expected right) $*"; fi
}

# found MESSAGE COMMAND...: says this, and does not end well.
found() {
    local message=$1
    shift
    checks=$((checks + 1))
    output=$("$@" 2>&1)
    local status=$?
    if [ $status -eq 0 ] || ! grep -qE -- "$message" <<<"$output"; then fail "(status $status, expected '$message') $*"; fi
}

# missed COMMAND...: shows that this kind of build alone would not do.
missed() { right "$@"; }

planted() {
    local p=$build/cusim_planted case
    for case in barrier second_barrier atomic unordered_sum between_blocks device_overrun device_overread dynamic_overrun static_overrun \
                divergent early_return deadlock warp_sync shuffle_is_no_fence mixed_sizes host_pointer host_touch \
                uninitialised wild_pointer; do
        right $p $case good
        right env CUSIM_SHUFFLE=5 $p $case good
        right env CUSIM_LAZY=2 $p $case good
    done
    # In every kind of build.
    found 'divergent __syncthreads\(\): .*planted.cu:[0-9]+ here' $p divergent
    found 'early_return.*lane 21 has ended while lanes|names lanes 0x[0-9a-f]+, which have ended' $p early_return
    found 'deadlock: [0-9]+ of 64 threads wait' $p deadlock
    checks=$((checks + 1))
    output=$($p uninitialised 2>&1)
    grep -q NaN <<<"$output" || fail "uninitialised shared memory of a template is not NaN"
    found 'kernel .wild_pointer<true>.*crashed by an access at|ERROR: AddressSanitizer' $p wild_pointer
    [ $kind = address ] || found 'cusim: host code touched memory of the device' $p host_touch
    case $kind in
    plain)
        for seed in 1 2 3; do
            checks=$((checks + 1))
            output=$(CUSIM_SHUFFLE=$seed $p barrier 2>&1)
            grep -q NaN <<<"$output" || fail "shuffled order $seed does not show the missing barrier"
        done
        missed $p atomic
        missed $p unordered_sum
        missed $p between_blocks
        found 'wrote past its 1024 bytes of dynamic shared memory \(at byte 1024\)' $p dynamic_overrun
        found 'wrote past the end of 1024 bytes of device memory \(at byte 1024\)' $p device_overrun
        ;;
    address)
        found 'ERROR: AddressSanitizer: heap-buffer-overflow' $p device_overrun
        found 'ERROR: AddressSanitizer: heap-buffer-overflow' $p device_overread
        found 'ERROR: AddressSanitizer: heap-buffer-overflow' $p dynamic_overrun
        found 'ERROR: AddressSanitizer: global-buffer-overflow|index 256 out of bounds' $p static_overrun
        ;;
    race)
        found 'kernel \(barrier<true>\).*(read after write|write after read) race' $p barrier
        found 'kernel \(second_barrier<true>\).*(read after write|write after read) race' $p second_barrier
        found 'kernel \(atomic<true>\).*race at .* between thread [0-9]+ of block 0 and thread [0-9]+ of block 0' $p atomic
        found 'race at .* between thread 0 of block 0 and thread 32 of block 0' $p unordered_sum
        found 'race at .* of block 0 and thread [0-9]+ of block 1' $p unordered_sum
        found 'write-write race at .* between thread 0 of block 0 and thread 0 of block 1' $p between_blocks
        found 'access of 4 bytes at .* outside of all allocations' $p device_overrun
        found 'access of 4 bytes at .* outside of all allocations' $p device_overread
        found 'access of 4 bytes past the 1024 bytes of dynamic shared memory' $p dynamic_overrun
        found '(read after write|write after read) race' $p warp_sync
        found '(read after write|write after read) race' $p shuffle_is_no_fence
        found '(read after write|write after read) race' $p mixed_sizes
        found 'which is memory of the host' $p host_pointer
        # The finding does not depend on the order.
        for seed in 1 2 3; do found 'race at' env CUSIM_SHUFFLE=$seed $p atomic; done
        for seed in 1 2 3; do found 'race at' env CUSIM_SHUFFLE=$seed $p warp_sync; done
        ;;
    esac
}

kernels() {
    right $build/cusim_kernels
    for seed in 1 2 3; do right env CUSIM_SHUFFLE=$seed $build/cusim_kernels; done
    right env CUSIM_LAZY=1 CUSIM_SHUFFLE=4 $build/cusim_kernels
    right env CUSIM_LAZY=2 $build/cusim_kernels
}

streams() {
    local p=$build/cusim_streams lazy seed
    for lazy in 0 1 2; do
        right env CUSIM_LAZY=$lazy $p right
        for seed in 1 2 3; do right env CUSIM_LAZY=$lazy CUSIM_SHUFFLE=$seed $p right; done
    done
    missed $p missing_wait
    missed $p pinned_reuse
    found 'WRONG: gradient of another stream' env CUSIM_LAZY=2 $p missing_wait
    found 'WRONG: batch of a pinned buffer' env CUSIM_LAZY=2 $p pinned_reuse
    found 'WRONG: batch of a pinned buffer' env CUSIM_LAZY=1 $p pinned_reuse
}

failures() {
    local p=$build/cusim_failures
    right $p device
    right env CUSIM_FAIL=cudaMalloc:3,cudaStreamSynchronize:2:700 $p injected
    right env CUSIM_MEMORY=1000000 $p memory
    right env CUSIM_DEVICES=0 $p no_device
    found 'cusim: cudaMemcpy: 8 bytes to .* are not memory of the device' $p misuse_kept
    found 'cusim: 6 faults in process' $p misuse_kept
    checks=$((checks + 1))
    output=$($p misuse 2>&1) || fail "faults that were forgotten"
}

convolution() {
    local p=$build/cusim_convolution
    for lazy in 0 2; do right env CUSIM_LAZY=$lazy $p; done
    found 'cusim: cudnnConvolutionForward: the algorithm needs 512 bytes of workspace and is given 0' $p refusals
    found 'cusim: cudnnConvolutionForward: x needs 1024 bytes at .* not memory of the device' $p refusals
    if [ -x $build/cusim_geometry_real ]; then
        checks=$((checks + 1))
        output=$(diff <(ASAN_OPTIONS=detect_leaks=0 $build/cusim_geometry_real 2>&1) <($build/cusim_geometry 2>&1)) || fail "geometry differs from the real cuDNN's"
        echo "compared $($build/cusim_geometry | wc -l) geometries with the real cuDNN"
    else
        echo "the real cuDNN is not there: geometry was not compared"
    fi
}

collectives() {
    local p=$build/cusim_collectives np lazy
    right $p right
    for np in 1 2 4; do
        for lazy in 0 1 2; do right ranks $np env CUSIM_LAZY=$lazy $p right; done
    done
    found 'collective [0-9]+ of communicator [0-9]+: rank 0 calls AllReduce.*rank 1 calls Broadcast' ranks 2 $p order
    found 'rank 0 calls AllReduce of 5 float32.*rank 1 calls AllReduce of 6 float32' ranks 2 $p count
    found 'rank 0 calls AllReduce of 5 float32.*rank 1 calls AllReduce of 5 float64' ranks 2 $p type
    found 'different unique ids' ranks 2 $p ids
    right env CUSIM_NCCL_STALL=2 $p stall
    right env CUSIM_NCCL_ERROR=2 $p error
    right ranks 2 env CUSIM_NCCL_STALL=2 $p stall
    right ranks 2 env CUSIM_NCCL_ERROR=2 $p error
    right ranks 2 $p missing_rank
}

for part in $parts; do $part; done
echo "$kind: $checks checks, $failures failed"
[ $failures -eq 0 ]
