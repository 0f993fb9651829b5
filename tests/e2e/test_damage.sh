#!/usr/bin/env bash
# Hundreds of damaged shards, pictures and label maps: exit code 4 with file and sample named, soon, in little memory; never a crash, a hang or
# a sanitizer's report. Runs the build with AddressSanitizer where there is one.
. "$(dirname "$0")/common.sh"
need_python numpy h5py PIL

if [ -x "$ENTRAIN_SOURCE/build-address/entrain" ]; then ENTRAIN_PROGRAM=$ENTRAIN_SOURCE/build-address/entrain; fi
folder=$(dirname "$ENTRAIN_PROGRAM")
export DAMAGE_SANITIZED=0
if grep -qs '^ENTRAIN_SANITIZE:[A-Z]*=address' "$folder/CMakeCache.txt"; then DAMAGE_SANITIZED=1; else echo "note: $folder has no AddressSanitizer"; fi

# Lines with FAILED tell of each; the last says how many were found.
damage() { # ARGUMENT...
    "$PYTHON" "$here/damage.py" "$@" || fail "damage.py $1"
}

pack() { # FOLDER IMAGES SHARDS
    expect_code 0 entrain pack synthetic --split train --images "$2" --size 48x64 --shards "$3" --out "$1" || give_up "no shards to work with"
}
pack "$work/pair" 6 2
pack "$work/alone" 3 1

say "damaged shards of a set of two"
mkdir "$work/a" && damage shards "$work/pair" "$work/a" 600
say "damaged shards that stand alone"
mkdir "$work/b" && damage shards "$work/alone" "$work/b" 380
say "damaged shards for classification"
mkdir "$work/e" && damage classes "$work/e" 60
say "damaged images"
mkdir "$work/c" && damage images "$work/c" 400
say "other commands"
mkdir "$work/d" && damage commands "$work/pair" "$work/d"
finish
