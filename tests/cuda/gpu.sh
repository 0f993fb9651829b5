#!/usr/bin/env bash
# The CUDA code on this machine's GPUs: the operations against the float64 reference, whole steps against the CPU's on 1, 2 and 4 GPUs,
# compute-sanitizer's four tools, timings. Installs nothing: needs the toolkit, cuDNN, NCCL, a driver, and what launch/install.sh --tests brings.
# usage: tests/run.sh --gpu [ctest arguments]      GPU_BENCH=0 leaves the timings out, GPU_SANITIZER=0 compute-sanitizer
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/common.sh
status=0

echo "== building with nvcc"
build build-gpu "" -DENTRAIN_CUDA=ON
build-gpu/entrain info --device cuda
gpus=$(build-gpu/entrain info --device cuda | sed -n 's/^GPUs *//p')

echo "== tests on the GPU"
ctest --test-dir build-gpu -L gpu --output-on-failure --output-junit "$PWD/build-gpu/junit.xml" "$@" || status=1
skipped build-gpu/junit.xml

if [ "${GPU_SANITIZER:-1}" = 1 ]; then
    for tool in memcheck racecheck initcheck synccheck; do
        echo "== compute-sanitizer, $tool"
        command -v compute-sanitizer >/dev/null || { echo "not run: compute-sanitizer is not on the path"; break; }
        for test in test_conv test_norm test_norm_layer test_ops test_ops_batch test_ops_bf16 test_ops_elements test_ops_loss test_ops_sgd; do
            ENTRAIN_TEST_DEVICE=cuda compute-sanitizer --tool "$tool" --error-exitcode 1 "build-gpu/tests/$test" >build-gpu/sanitizer.log 2>&1 ||
                { status=1; echo "FAILED: $tool of $test"; tail -n 30 build-gpu/sanitizer.log; }
        done
    done
fi

bench() { # RANKS SETTING...
    local ranks=$1 run=(build-gpu/entrain) sets=()
    shift
    [ "$ranks" = 1 ] || run=(mpirun --bind-to none -np "$ranks" build-gpu/entrain)
    for setting in "$@"; do sets+=(--set "$setting"); done
    echo "-- $ranks GPUs: $*"
    "${run[@]}" bench configs/deeplab_ade20k.json --random 150 --device cuda "${sets[@]}" || status=1
}
if [ "${GPU_BENCH:-1}" = 1 ]; then
    echo "== timings"
    for norm in en bn; do
        for precision in train.precision=bf16 train.tf32=true train.tf32=false; do
            bench 1 train.global_batch=4 norm.type=$norm $precision
        done
    done
    [ "$gpus" -lt 2 ] || bench "$gpus" train.global_batch=$((4 * gpus)) norm.type=en train.precision=bf16
fi
exit "$status"
