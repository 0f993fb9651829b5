#!/usr/bin/env bash
# The sources keep to clang-format's layout, and clang-tidy and cppcheck find nothing. No file grows beyond what one can read.
set -euo pipefail
cd "${ENTRAIN_SOURCE:-$(dirname "$0")/../..}"
build=${ENTRAIN_BUILD:-build}
[ -f build-clang/compile_commands.json ] && build=build-clang # clang's own command lines are clang-tidy's best guide
failed=0

mapfile -t sources < <(git ls-files 'src/*.c' 'src/*.h' 'include/*.h' 'tests/*.c' 'tests/*.h')
mapfile -t units < <(git ls-files 'src/*.c')

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

if command -v clang-tidy >/dev/null && [ -f "$build/compile_commands.json" ]; then
    printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$build" --extra-arg=-Wno-unknown-warning-option \
        --extra-arg=-Wno-ignored-optimization-argument 2>/dev/null || failed=1
else
    echo "clang-tidy or $build/compile_commands.json is missing: not run"
fi

# 350 lines is beyond the house rule of about 300; tests may be tables.
for file in "${units[@]}"; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 350 ]; then
        echo "$file: $lines lines; one concept a file, at most about 300"
        failed=1
    fi
done
exit "$failed"
