#!/usr/bin/env bash
# Install what is missing, build with gcc and clang and with sanitizers, run every test that this machine can run, say which it could not and
# why. Ends with ctest's summary. Where the CUDA toolkit is, its code is built by nvcc and executed in simulation.
# usage: tests/run.sh [ctest arguments]           for example: tests/run.sh -L unit
#        tests/run.sh --gpu [ctest arguments]     the CUDA code on this machine's GPUs, and nothing else: tests, compute-sanitizer, timings
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = "--gpu" ]; then
    shift
    exec tests/cuda/gpu.sh "$@"
fi
launch/install.sh --tests
. tests/common.sh
status=0

echo "== building with gcc"
CC=gcc build build ""
echo "== building with clang"
CC=clang build build-clang "" -DENTRAIN_CUDA=OFF
echo "== building with AddressSanitizer and UndefinedBehaviorSanitizer"
CC=gcc build build-address "" -DENTRAIN_CUDA=OFF -DENTRAIN_SANITIZE=address -DCMAKE_BUILD_TYPE=RelWithDebInfo
echo "== building the threaded parts with ThreadSanitizer"
CC=gcc build build-thread "test_loader test_loader_faults test_loader_parts test_pipeline test_pack_stored test_verify test_unpack" -DENTRAIN_CUDA=OFF -DENTRAIN_SANITIZE=thread -DCMAKE_BUILD_TYPE=RelWithDebInfo
if has_cuda build; then
    echo "== building the CUDA code for simulation: plain, with AddressSanitizer, with the race checker"
    CC=gcc CXX=g++ build build-cusim "" -DENTRAIN_CUDA=SIMULATE
    CC=gcc CXX=g++ build build-cusim-address "" -DENTRAIN_CUDA=SIMULATE -DENTRAIN_SANITIZE=address -DCMAKE_BUILD_TYPE=RelWithDebInfo
    CC=gcc CXX=g++ build build-cusim-race "" -DENTRAIN_CUDA=SIMULATE -DENTRAIN_CUDA_RACE=ON
fi

[ -d "${ENTRAIN_DATA:-../shared/data}/camvid" ] ||
    echo "note: no CamVid at ${ENTRAIN_DATA:-../shared/data}: the tests that use it are skipped (set ENTRAIN_DATA)"

echo "== unit tests under AddressSanitizer and UndefinedBehaviorSanitizer"
ctest --test-dir build-address -L unit -j "$jobs" --output-on-failure "$@" || status=1
echo "== tests of the loader, packing and verifying under ThreadSanitizer"
ctest --test-dir build-thread -R 'unit\.test_(loader|pipeline|pack_stored|verify|unpack)' --output-on-failure "$@" || status=1
if has_cuda build; then
    for kind in cusim-address cusim-race cusim; do
        echo "== CUDA code, executed in simulation: build-$kind"
        ctest --test-dir "build-$kind" -j "$jobs" --output-on-failure --output-junit "$PWD/build-$kind/junit.xml" "$@" || status=1
        skipped "build-$kind/junit.xml"
    done
else
    echo "not run: the CUDA code: $(cuda_state build)"
fi
echo "== all tests"
ctest --test-dir build --output-on-failure --output-junit "$PWD/build/junit.xml" "$@" | tee build/ctest.log || status=1
skipped build/junit.xml
grep -E 'tests passed|tests failed' build/ctest.log || true
exit "$status"
