#!/usr/bin/env bash
# Packing, unpacking and what any number of ranks and threads makes of the same data, checked by another program. The data sets' samples at
# ../shared/data or $ENTRAIN_DATA are used where they are; the rest needs none.
. "$(dirname "$0")/common.sh"
need_python numpy h5py PIL
data=${ENTRAIN_DATA:-$ENTRAIN_SOURCE/../shared/data}
pack() { "$PYTHON" "$here/pack.py" "$@"; }
shown() { expect_code 0 "$@" && cat "$output"; }
same_files() { # WHAT FOLDER FOLDER
    diff -r "$2" "$3" >"$output" 2>&1 || { fail "$1"; show_output; }
}

say "sizes and codecs, against Pillow"
table='{"classes": [{"name": "a", "color": [0, 0, 0], "ids": [0]}, {"name": "b", "color": [9, 9, 9], "ids": [1]}, {"name": "c", "color": [99, 9, 9], "ids": [2]}]}'
echo "$table" >"$work/table.json"
check "photos" pack source "$work/photos"
own=(folder --root "$work/photos" --split train --classes "$work/table.json")
for case in "max 64 png" "short 40 png" "max 50 keep" "short 1000 keep" "short 64 jpeg" "max 7 png"; do
    read -r side value codec <<<"$case"
    out=$work/resized/${case// /-}
    expect_code 0 entrain pack "${own[@]}" --out "$out" --$side-side "$value" --codec "${codec/jpeg/jpeg:90}" && shown pack resized "$out" "$work/photos" $side "$value" $codec
done
both_codes() { expect_code 2 entrain pack "${own[@]}" --out "$work/x" "$@"; }
both_codes --codec jpeg:0 && expect_text "--codec jpeg:0"
both_codes --codec webp && expect_text "keep, png, or jpeg:Q"
both_codes --max-side none && expect_text "--max-side none"
both_codes --codec "jpeg: 90" && both_codes --codec jpeg:+90 && both_codes --codec jpeg:90x && both_codes --codec jpeg:101
both_codes --size 64x64 && expect_text "pack folder: --size does not apply"
both_codes --seed 3 && expect_text "pack folder: --seed does not apply"
for size in 64 64x x64 64x64x 99999999999x64 +64x64 "64x 64" 0x64; do
    expect_code 2 entrain pack synthetic --split train --out "$work/x" --size "$size" && expect_text "--size $size: expected HEIGHTxWIDTH"
done
expect_code 2 entrain pack synthetic --split train --out "$work/x" --size 16x64 && expect_text "each side must be 48 to"
expect_code 2 entrain pack synthetic --split train --out "$work/x" --root "$work/photos" && expect_text "pack synthetic: --root does not apply"
expect_code 2 entrain pack synthetic --split $'tr\tain' --out "$work/x" && expect_text "--split must be a plain name"
for command in "pack synthetic --split train --out $work/x" "verify $work/x" "unpack $work/x --out $work/y"; do
    expect_code 2 entrain $command --set train.steps=1 && expect_text "--set does not apply"
done

say "ranks and threads"
expect_code 0 entrain pack "${own[@]}" --out "$work/alone" --shards 5 --max-side 80 --threads 1
for n in 1 2 4; do
    for threads in 1 3; do
        expect_code 0 entrain_on $n pack "${own[@]}" --out "$work/ranks$n-$threads" --shards 5 --max-side 80 --threads $threads
        same_files "$n ranks of $threads threads make other files" "$work/alone" "$work/ranks$n-$threads"
    done
    expect_code 0 entrain_on $n verify "$work/alone" --threads 2
    cp "$output" "$work/verify$n"
    same_files "$n ranks find other figures" "$work/verify1" "$work/verify$n"
done
expect_code 0 entrain pack "${own[@]}" --out "$work/other-cut" --shards 2 --max-side 80
check "the checksum of the tables" pack checksum "$work/alone"
check "the same samples in fewer shards" pack payload "$work/alone" "$work/other-cut"

say "more shards than files that may be open"
expect_code 0 entrain pack synthetic --split train --images 300 --shards 300 --size 48x48 --out "$work/many"
soft_limit() { (ulimit -Sn 128 && "$@"); }
hard_limit() { (ulimit -n 128 && "$@"); }
expect_code 0 soft_limit entrain verify "$work/many" && expect_text "300 samples"
expect_code 5 hard_limit entrain verify "$work/many" && expect_text "Too many open files" "ulimit -n" "fewer --shards"

say "names that shards cannot hold, and what is told of them"
photo=$work/photos/images/photo4.png
mkdir -p "$work/zoo/train/ape" "$work/zoo/train/b"$'\t'"c" "$work/zoo/loose"
cp "$photo" "$work/zoo/train/ape/1.png"
cp "$photo" "$work/zoo/train/b"$'\t'"c/1.png"
expect_code 4 entrain pack imagefolder --root "$work/zoo" --split train --out "$work/x" && expect_text "train/b?c: the name of this folder" "1 fault"
rm -r "$work/zoo/train/b"$'\t'"c"
printf 'n01\ttench\n' >"$work/zoo/names"
printf './train/ape/1.png 0\n' >"$work/zoo/list"
lists=(pack imagefolder --root "$work/zoo/" --split train --classes "$work/zoo/names" --list "$work/zoo/list")
expect_code 0 entrain "${lists[@]}" --out "$work/listed" && expect_code 0 entrain verify "$work/listed" && expect_text "n01 tench"
printf 'train//ape/1.png 0\n' >"$work/zoo/list"
expect_code 4 entrain "${lists[@]}" --out "$work/x" && expect_text "train//ape/1" "empty part"
rm "$work/zoo/list" && mkfifo "$work/zoo/list"
expect_code 4 entrain "${lists[@]}" --out "$work/x" && expect_text "zoo/list: is not a regular file"
expect_code 4 entrain pack imagefolder --root "$work/zoo" --split trian --out "$work/x" && expect_text "There are the folders: loose, train."
[ ! -e "$work/x" ] || fail "a folder is there after mistakes"

say "a folder that names leave"
expect_code 2 entrain unpack "$work/alone"
expect_text "--out is missing"
expect_code 4 entrain unpack "$work/nowhere" --out "$work/x"
expect_text "$work/nowhere"

say "faults: all told, nothing left"
cp -r "$work/photos" "$work/bad"
"$PYTHON" - "$work/bad" <<'END'
import os, sys
from PIL import Image
root = sys.argv[1]
os.remove(f"{root}/labels/photo0.png")
os.remove(f"{root}/images/photo1.jpg")
open(f"{root}/images/photo2.png", "r+b").truncate(500)
Image.new("L", (5, 5)).save(f"{root}/labels/photo3.png")
label = Image.open(f"{root}/labels/photo4.png")
label.putpixel((17, 9), 77)
label.save(f"{root}/labels/photo4.png")
END
for n in 1 2 4; do
    expect_code 4 entrain_on $n pack folder --root "$work/bad" --split train --classes "$work/table.json" --out "$work/none" --shards 4
    expect_text "photo0.png" "photo1.png" "photo2.png" "photo3.jpg" "5 x 5" "photo4.png" "x=17, y=9" "77"
    expect_no_text "photo5" "photo6"
    [ ! -e "$work/none" ] || fail "a folder is there after faults: $(ls -a "$work/none")"
done
mkdir "$work/none"
touch "$work/none/kept"
expect_code 4 entrain pack folder --root "$work/bad" --split train --classes "$work/table.json" --out "$work/none" --shards 4
same_text "what lay in the folder" kept "$(ls -A "$work/none")"

for name in ade20k cityscapes camvid cifar10_subset; do
    if [ ! -d "$data/$name" ]; then
        echo "no $name at $data: the rest is not run; set ENTRAIN_DATA to the folder that holds ade20k/, cityscapes/, camvid/, cifar10_subset/"
        finish
    fi
done

say "real data, there and back, on 1, 2 and 4 ranks"
for set in "ade20k train" "ade20k val" "cityscapes train" "cityscapes val" "camvid train" "camvid val" "camvid test"; do
    read -r name split <<<"$set"
    for n in 1 2 4; do
        expect_code 0 entrain_on $n pack $name --root "$data/$name" --split $split --out "$work/$name-$split-$n"
        [ $n = 1 ] || same_files "$set: $n ranks make other files" "$work/$name-$split-1" "$work/$name-$split-$n"
    done
    expect_code 0 entrain verify "$work/$name-$split-1" && expect_text "all good"
    expect_code 0 entrain_on 2 unpack "$work/$name-$split-1" --out "$work/files-$name-$split"
    shown pack unpacked $name "$work/files-$name-$split" "$data" $split
done
for split in train val; do
    expect_code 0 entrain unpack "$work/cityscapes-$split-1" --out "$work/trainids-$split" --train-ids
    check "trainIds of Cityscapes $split" pack trainids "$work/trainids-$split" "$data" $split
done

say "image folders"
expect_code 0 entrain_on 2 pack imagefolder --root "$data/cifar10_subset" --split test --out "$work/cifar"
expect_code 0 entrain verify "$work/cifar" && expect_text "1000 samples" "(classification)" "truck"
check "the checksum of the tables" pack checksum "$work/cifar"
expect_code 0 entrain unpack "$work/cifar" --out "$work/cifar-files"
same_files "the image folders did not come back" "$data/cifar10_subset/test" "$work/cifar-files"
write_config "$work/config.json" "$work/cifar" ""
for n in 1 2; do
    expect_code 4 entrain_on $n "$work/config.json" --out "$work/run"
    expect_text "data.train ($work/cifar)" "classification" "the configuration's task is segmentation"
done

finish
