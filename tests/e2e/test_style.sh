#!/usr/bin/env bash
# The sources keep to clang-format's layout, and clang-tidy and cppcheck find nothing. No file grows beyond what one can read.
set -euo pipefail
cd "${ENTRAIN_SOURCE:-$(dirname "$0")/../..}"
build=${ENTRAIN_BUILD:-build}
[ -f build-clang/compile_commands.json ] && build=build-clang # clang's own command lines are clang-tidy's best guide
failed=0

mapfile -t sources < <(git ls-files 'src/*.c' 'src/*.h' 'src/*.cu' 'src/*.cuh' 'include/*.h' 'tests/*.c' 'tests/*.h' 'tests/*.cu' 'tests/*.cpp')
mapfile -t units < <(git ls-files 'src/*.c')
mapfile -t kernels < <(git ls-files 'src/*.cu' 'src/*.cuh' 'tests/cuda/*.cu' 'tests/cuda/*.cpp')

if command -v clang-format >/dev/null; then
    clang-format --dry-run -Werror "${sources[@]}" || failed=1
else
    echo "clang-format is not installed: layout not checked"
fi

if command -v cppcheck >/dev/null; then
    cppcheck --quiet --std=c11 --language=c --error-exitcode=1 --inline-suppr --enable=warning,performance,portability -j "$(nproc)" \
        --suppressions-list=tests/cppcheck-suppressions.txt -I include -I src -D_GNU_SOURCE -DDNNL_VERSION_MAJOR=2 \
        '-DENTRAIN_VERSION="0"' src || failed=1
else
    echo "cppcheck is not installed: not run"
fi

# clang-tidy over the files listed in FILES, with the command lines of BUILD.
tidy() { # BUILD FILES
    xargs -r -P "$(nproc)" -n 4 clang-tidy --quiet -p "$1" --extra-arg=-Wno-unknown-warning-option \
        --extra-arg=-Wno-ignored-optimization-argument <"$2" 2>/dev/null || failed=1
}
if command -v clang-tidy >/dev/null && [ -f "$build/compile_commands.json" ]; then
    lists=$(mktemp -d)
    trap 'rm -rf "$lists"' EXIT
    for file in "${units[@]}"; do
        if grep -qF "/$file\"" "$build/compile_commands.json"; then
            echo "$file" >>"$lists/all"
        elif [ -f build-cusim/compile_commands.json ] && grep -qF "/$file\"" build-cusim/compile_commands.json; then
            echo "$file" >>"$lists/cuda" # host code for GPUs
        else
            echo "$file: no build here compiles it: clang-tidy not run"
        fi
    done
    tidy "$build" "$lists/all"
    [ ! -f "$lists/cuda" ] || tidy build-cusim "$lists/cuda"
else
    echo "clang-tidy or $build/compile_commands.json is missing: not run"
fi

# 350 lines is beyond the house rule of about 300; tests may be tables.
for file in "${units[@]}" "${kernels[@]}"; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 350 ]; then
        echo "$file: $lines lines; one concept a file, at most about 300"
        failed=1
    fi
done
exit "$failed"
