#!/usr/bin/env bash
# Install what is missing, build, run every test that this machine can run, say which it could not and why. Ends with ctest's summary.
# usage: tests/run.sh [ctest arguments]     for example: tests/run.sh -L unit
set -euo pipefail
cd "$(dirname "$0")/.."
launch/install.sh --tests

jobs=$(nproc)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
build() { # FOLDER OPTIONS...
    local folder=$1
    shift
    cmake -S . -B "$folder" "$@" >"$folder.log" 2>&1 || { cat "$folder.log"; return 1; }
    grep -- '-- entrain' "$folder.log" || true
    cmake --build "$folder" -j "$jobs" >>"$folder.log" 2>&1 || { tail -n 60 "$folder.log"; return 1; }
    rm -f "$folder.log"
}

echo "== building with gcc"
build build -DCMAKE_C_COMPILER=gcc -DENTRAIN_TESTS=ON
echo "== building with clang (warnings are errors there too)"
build build-clang -DCMAKE_C_COMPILER=clang -DENTRAIN_TESTS=ON
echo "== building with AddressSanitizer and UndefinedBehaviorSanitizer"
build build-sanitize -DCMAKE_C_COMPILER=gcc -DENTRAIN_SANITIZE=ON -DENTRAIN_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo

data=${ENTRAIN_DATA:-../shared/data}
[ -d "$data/camvid" ] || echo "note: no real data at $data; tests that use CamVid say that they are skipped"
ctest --test-dir build --output-on-failure "$@"
