# Shared by the end-to-end tests, which source it first: finds the program, makes a temporary folder $work (removed at the end unless
# E2E_KEEP=1) and counts failures. A check that fails says so and the script goes on, so that one run shows them all; `finish` ends it.
#   ENTRAIN_PROGRAM, ENTRAIN_SOURCE   the program and the project's root (default: build/entrain, and the folder above this one)
#   E2E_LIMIT                         seconds that one command may take (default 120)
set -u

ENTRAIN_SOURCE=${ENTRAIN_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
ENTRAIN_PROGRAM=${ENTRAIN_PROGRAM:-$ENTRAIN_SOURCE/build/entrain}
E2E_LIMIT=${E2E_LIMIT:-120}
PYTHON=${PYTHON:-/usr/bin/python3}
export ENTRAIN_SOURCE ENTRAIN_PROGRAM PYTHONDONTWRITEBYTECODE=1
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive} # waiting threads leave the core to those that work
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_base_warn_component_unused=0
here=$ENTRAIN_SOURCE/tests/e2e
failures=0
[ -x "$ENTRAIN_PROGRAM" ] || { echo "no program at $ENTRAIN_PROGRAM: build it or set ENTRAIN_PROGRAM"; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/entrain-e2e-XXXXXX")
output=$work/output # of the last command under expect_code

# Scripts add to this what has to happen before the folder goes.
clean_up() { :; }
leave() {
    local code=$? jobs
    jobs=$(jobs -p)
    [ -z "$jobs" ] || kill -9 $jobs 2>/dev/null
    clean_up
    if [ "${E2E_KEEP:-0}" = 1 ]; then echo "kept: $work"; else rm -rf "$work"; fi
    exit "$code"
}
trap leave EXIT
trap 'exit 130' INT TERM

# ---- endings ----

skip() { # REASON...
    echo "skipped: $*"
    exit 77
}

# Stop here: what follows cannot be tested.
give_up() { # MESSAGE...
    echo "FAILED: $*"
    exit 1
}

finish() {
    if [ "$failures" -gt 0 ]; then
        echo "$failures failures in $SECONDS s"
        exit 1
    fi
    echo "all good in $SECONDS s"
    exit 0
}

need_python() { # MODULE...
    local module
    for module in "$@"; do
        "$PYTHON" -c "import $module" 2>/dev/null || skip "$PYTHON has no module $module (on Debian: apt install python3-numpy python3-h5py python3-pil)"
    done
}

# ---- running ----

limited() { timeout -k 5 "$E2E_LIMIT" "$@"; }

entrain() { limited "$ENTRAIN_PROGRAM" "$@"; }

# One thread a rank: the ranks share the cores of a small machine.
ranks() { # N COMMAND...
    local n=$1
    shift
    OMP_NUM_THREADS=1 limited mpirun --oversubscribe --bind-to none -np "$n" "$@"
}

# The program on N ranks; with 1 as a single process, without mpirun.
entrain_on() { # N ARGUMENT...
    local n=$1
    shift
    if [ "$n" = 1 ]; then entrain "$@"; else ranks "$n" "$ENTRAIN_PROGRAM" "$@"; fi
}

# ---- checks ----

say() { echo "== $*"; }

fail() { # MESSAGE...
    failures=$((failures + 1))
    echo "FAILED: $*"
}

show_output() { tail -n 40 "$output" | sed 's/^/    | /'; }

# Run a command (its output goes to $output) and compare its exit code.
expect_code() { # CODE COMMAND...
    local expected=$1 code=0
    shift
    "$@" >"$output" 2>&1 </dev/null || code=$?
    [ "$code" -eq "$expected" ] && return 0
    fail "exit code $code, expected $expected, from: $*"
    [ "$code" -ne 124 ] || echo "    (it was ended after $E2E_LIMIT s)"
    show_output
    return 1
}

# Each text stands in the last command's output.
expect_text() { # TEXT...
    local text
    for text in "$@"; do
        grep -qF -- "$text" "$output" && continue
        fail "the output lacks: $text"
        show_output
    done
}

expect_no_text() { # TEXT...
    local text
    for text in "$@"; do
        grep -qF -- "$text" "$output" || continue
        fail "the output should not have: $text"
        show_output
    done
}

# The command succeeds; it says itself what it found.
check() { # WHAT COMMAND...
    local what=$1 said
    shift
    said=$("$@" 2>&1) && return 0
    fail "$what"
    [ -z "$said" ] || echo "$said" | tail -n 40 | sed 's/^/    | /'
    return 1
}

same_text() { # WHAT A B
    [ "$2" = "$3" ] || fail "$1: '$2' and '$3' differ"
}

# ---- things to work with ----

pack_synthetic() { # FOLDER SPLIT IMAGES [OPTION...]
    local folder=$1 split=$2 images=$3
    shift 3
    expect_code 0 entrain pack synthetic --split "$split" --images "$images" --size 64x80 --out "$folder" "$@" || give_up "no shards to work with"
}

# A small run: a few steps, everything random switched on that the test does not switch off.
write_config() { # FILE TRAIN VAL
    local val=null
    [ -z "$3" ] || val="\"$3\""
    cat >"$1" <<END
{
  "model": {"backbone": "resnet18", "output_stride": 16, "head": "deeplab_v2", "aux_weight": 0.4, "dropout": 0.2},
  "norm": {"type": "en"},
  "data": {"train": "$2", "val": $val, "crop": [48, 64], "scale": [0.75, 1.25], "flip": true, "photometric": true},
  "train": {"global_batch": 4, "iterations": 6, "seed": 3, "log_every": 1, "checkpoint_every": 0, "keep": 0, "eval_every": 0},
  "optimizer": {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.0001},
  "schedule": {"type": "poly", "power": 0.9}
}
END
}
