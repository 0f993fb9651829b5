# Shared by run.sh and cuda/gpu.sh, which source it in the project's root: building, and saying what was not run.
jobs=$(nproc)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

build() { # FOLDER TARGETS OPTIONS...
    local folder=$1 targets=$2
    shift 2
    cmake -S . -B "$folder" -DENTRAIN_TESTS=ON "$@" >"$folder.log" 2>&1 || { cat "$folder.log"; return 1; }
    grep -- '-- entrain' "$folder.log" || true
    # shellcheck disable=SC2086
    cmake --build "$folder" -j "$jobs" ${targets:+--target $targets} >>"$folder.log" 2>&1 || { tail -n 60 "$folder.log"; return 1; }
    rm -f "$folder.log"
}

# What a build has of CUDA, in words: "on (...)" or "off (why)".
cuda_state() { # FOLDER
    sed -n 's/^ENTRAIN_CUDA_STATE:INTERNAL=//p' "$1/CMakeCache.txt"
}
has_cuda() { # FOLDER
    [[ "$(cuda_state "$1")" == on* ]]
}

# Every test that was skipped, with the reason that it printed.
skipped() { # JUNIT_FILE
    python3 - "$1" <<'PYTHON'
import sys, xml.etree.ElementTree as tree
for case in tree.parse(sys.argv[1]).getroot().iter("testcase"):
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        lines = [l for l in (case.findtext("system-out") or "").splitlines() if l.strip()]
        reason = next((l for l in lines if "no usable GPU" in l), lines[-1] if lines else "no reason given")  # mpirun adds lines of its own
        print(f"not run: {case.get('name')}: {reason}")
PYTHON
}
