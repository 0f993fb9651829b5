#!/usr/bin/env bash
# Install what is missing, build with gcc and clang and with sanitizers, run every test that this machine can run, say which it could not and
# why. Ends with ctest's summary.
# usage: tests/run.sh [ctest arguments]     for example: tests/run.sh -L unit
set -euo pipefail
cd "$(dirname "$0")/.."
launch/install.sh --tests

jobs=$(nproc)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
status=0

build() { # FOLDER TARGETS OPTIONS...
    local folder=$1 targets=$2
    shift 2
    cmake -S . -B "$folder" -DENTRAIN_TESTS=ON "$@" >"$folder.log" 2>&1 || { cat "$folder.log"; return 1; }
    grep -- '-- entrain' "$folder.log" || true
    # shellcheck disable=SC2086
    cmake --build "$folder" -j "$jobs" ${targets:+--target $targets} >>"$folder.log" 2>&1 || { tail -n 60 "$folder.log"; return 1; }
    rm -f "$folder.log"
}

# Every test that was skipped, with the reason that it printed.
skipped() { # JUNIT_FILE
    python3 - "$1" <<'PYTHON'
import sys, xml.etree.ElementTree as tree
for case in tree.parse(sys.argv[1]).getroot().iter("testcase"):
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        lines = [l for l in (case.findtext("system-out") or "").splitlines() if l.strip()]
        print(f"not run: {case.get('name')}: {lines[-1] if lines else 'no reason given'}")
PYTHON
}

echo "== building with gcc"
CC=gcc build build ""
echo "== building with clang"
CC=clang build build-clang ""
echo "== building with AddressSanitizer and UndefinedBehaviorSanitizer"
CC=gcc build build-address "" -DENTRAIN_SANITIZE=address -DCMAKE_BUILD_TYPE=RelWithDebInfo
echo "== building the threaded parts with ThreadSanitizer"
CC=gcc build build-thread "test_loader test_loader_faults" -DENTRAIN_SANITIZE=thread -DCMAKE_BUILD_TYPE=RelWithDebInfo

[ -d "${ENTRAIN_DATA:-../shared/data}/camvid" ] ||
    echo "note: no CamVid at ${ENTRAIN_DATA:-../shared/data}: the tests that use it are skipped (set ENTRAIN_DATA)"

echo "== unit tests under AddressSanitizer and UndefinedBehaviorSanitizer"
ctest --test-dir build-address -L unit -j "$jobs" --output-on-failure "$@" || status=1
echo "== loader tests under ThreadSanitizer"
ctest --test-dir build-thread -R 'unit\.test_loader' --output-on-failure "$@" || status=1
echo "== all tests"
ctest --test-dir build --output-on-failure --output-junit "$PWD/build/junit.xml" "$@" | tee build/ctest.log || status=1
skipped build/junit.xml
grep -E 'tests passed|tests failed' build/ctest.log || true
exit "$status"
