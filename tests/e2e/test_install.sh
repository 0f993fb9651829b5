#!/usr/bin/env bash
# The installed tree is enough: moved to another place, its program runs without LD_LIBRARY_PATH, and a C program built against its headers and
# pkg-config file alone segments an image as `entrain predict` does.
. "$(dirname "$0")/common.sh"
build=${ENTRAIN_BUILD:-$ENTRAIN_SOURCE/build}
[ -f "$build/cmake_install.cmake" ] || give_up "no build at $build: set ENTRAIN_BUILD"
for tool in cmake pkg-config cc; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
done
unset LD_LIBRARY_PATH PKG_CONFIG_PATH
flags=(-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror)
# A sanitizer's run-time library has to come first in a program that links to a library with it.
sanitize=$(sed -n 's/^ENTRAIN_SANITIZE:[A-Z]*=//p' "$build/CMakeCache.txt")
case "$sanitize" in address) flags+=("-fsanitize=address,undefined") ;; thread) flags+=(-fsanitize=thread) ;; esac

say "installing"
expect_code 0 limited cmake --install "$build" --prefix "$work/first" || give_up "nothing is installed"
mv "$work/first" "$work/installed"
prefix=$work/installed
pc=$(find "$prefix" -name entrain.pc)
[ -n "$pc" ] || give_up "there is no entrain.pc"
libraries=$(dirname "$(dirname "$pc")")
for header in "$ENTRAIN_SOURCE"/include/entrain/*.h; do
    cmp "$header" "$prefix/include/entrain/$(basename "$header")" || fail "$(basename "$header") is not installed as it is"
done
for config in "$ENTRAIN_SOURCE"/configs/*.json; do
    cmp "$config" "$prefix/share/entrain/configs/$(basename "$config")" || fail "$(basename "$config") is not installed as it is"
done

say "the installed program"
cd "$work" || give_up "cannot enter $work"
expect_code 0 "$prefix/bin/entrain" --version
expect_text "entrain $(sed -n 's/^Version: //p' "$pc")"
expect_code 0 ldd "$prefix/bin/entrain"
library=$(realpath "$(awk '$1 ~ /^libentrain/ { print $3 }' "$output")")
same_text "the library that the program finds" "$(realpath "$libraries/libentrain.so")" "$library"
ENTRAIN_PROGRAM=$prefix/bin/entrain
pack_synthetic shards/train train 8
pack_synthetic shards/val val 2
write_config config.json shards/train shards/val
expect_code 0 entrain config.json --out run --set train.iterations=4 || give_up "no checkpoint to work with"
expect_code 0 entrain predict config.json --checkpoint run --out pictures --val 1
picture=$(find pictures -name '*_overlay.png') # any picture will do
expect_code 0 entrain predict config.json --checkpoint run --out labels "$picture"
expected=labels/$(basename "$picture")

say "a C program against it"
export PKG_CONFIG_PATH=$libraries/pkgconfig
expect_code 0 pkg-config --cflags --libs entrain || give_up "pkg-config does not find entrain"
expect_no_text "$ENTRAIN_SOURCE" "$build"
[ "$(realpath -m "$(pkg-config --variable=prefix entrain)")" = "$prefix" ] || give_up "pkg-config says $(cat "$output"); the tree is at $prefix"
read -r -a found < <(pkg-config --cflags --libs entrain libpng)
read -r -a png < <(pkg-config --cflags --libs libpng)
for header in "$prefix"/include/entrain/*.h; do # each stands alone
    echo "#include <entrain/$(basename "$header")>" >alone.c
    expect_code 0 cc "${flags[@]}" "${found[@]}" -Wno-empty-translation-unit -fsyntax-only alone.c
    if command -v c++ >/dev/null; then expect_code 0 c++ -Wall -Wextra -Werror "${found[@]}" -x c++ -fsyntax-only alone.c; fi
done
expect_code 0 cc "${flags[@]}" -o segment "$ENTRAIN_SOURCE/tests/install/segment.c" "${found[@]}" "-Wl,-rpath,$libraries" || give_up "segment.c does not build"
expect_code 0 cc "${flags[@]}" -o same_labels "$ENTRAIN_SOURCE/tests/install/same_labels.c" "${png[@]}" || give_up "same_labels.c does not build"

say "its labels are those of predict"
expect_code 0 limited ./segment config.json run "$picture" mine.png
expect_text "64 x 80 pixels, 8 classes"
expect_code 0 ./same_labels mine.png "$expected"
expect_text "equal: 64 x 80 pixels"
cat "$output"
expect_code 2 ./same_labels mine.png "$picture"

say "its errors are the library's"
expect_code 4 ./segment config.json nowhere "$picture" other.png
expect_text "nowhere: cannot open the checkpoint"
echo '{"model": {"backbone": "resnet81"}}' >wrong.json
expect_code 3 ./segment wrong.json run "$picture" other.png
expect_text "model.backbone" "resnet18"
[ ! -e other.png ] || fail "a failed run wrote labels"

finish
