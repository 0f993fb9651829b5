#!/usr/bin/env bash
# Every packer on real files, read back by another program: ADE20K, Cityscapes, CamVid as published, folders of one's own, image folders. Needs
# the data at ../shared/data or $ENTRAIN_DATA.
. "$(dirname "$0")/common.sh"
need_python numpy h5py PIL
datasets() { "$PYTHON" "$here/datasets.py" "$@"; }

say "the pages"
expect_code 0 entrain pack --help
cp "$output" "$work/help"
check "the pages of datasets/" datasets pages "$ENTRAIN_SOURCE" "$work/help"
[ "$failures" = 0 ] || finish

data=${ENTRAIN_DATA:-$ENTRAIN_SOURCE/../shared/data}
for name in ade20k cityscapes camvid cifar10_subset; do
    [ -d "$data/$name" ] || skip "no $name at $data; set ENTRAIN_DATA to the folder that holds ade20k/, cityscapes/, camvid/, cifar10_subset/"
done
tables=$ENTRAIN_SOURCE/datasets
# The command fails as bad data should, says these, and leaves no shards.
refused() { # TEXT... -- OPTION...
    local texts=()
    while [ "$1" != -- ]; do texts+=("$1"); shift; done
    expect_code 4 entrain pack "${@:2}" --out "$work/refused"
    expect_text "${texts[@]}"
    [ -z "$(find "$work/refused" -name '*.h5' 2>/dev/null)" ] || fail "there are shards after: ${*:2}"
}
shown() { expect_code 0 "$@" && cat "$output"; }

say "the tables are those of the data sets"
shown datasets tables "$ENTRAIN_SOURCE" "$data"

say "ADE20K and Cityscapes"
for name in ade20k cityscapes; do
    for split in train val; do
        expect_code 0 entrain pack $name --root "$data/$name" --split $split --out "$work/$name/$split" && shown datasets labels $name "$work/$name/$split" "$data" $split
    done
done
expect_code 0 entrain verify "$work/cityscapes/train"
expect_text "cityscapes train" "traffic light"

say "real labels with what no class has"
mkdir -p "$work/city/gtFine/val" "$work/city/leftImg8bit/val/frankfurt" "$work/ade/annotations/validation" "$work/ade/images/validation"
cp -r "$data/cityscapes/extra_labels_without_images/frankfurt" "$work/city/gtFine/val/"
refused "15 faults" "frankfurt_000001_055387_gtFine_labelIds.png" "has no picture" -- cityscapes --root "$work/city" --split val
for i in 01 02 03; do
    cp "$data/ade20k/extra_labels_512_letterboxed/ADE_val_000000$i.png" "$work/ade/annotations/validation/"
    "$PYTHON" -c "from PIL import Image; Image.new('RGB', (512, 512)).save('$work/ade/images/validation/ADE_val_000000$i.jpg')"
done
refused "3 faults" "ADE_val_00000001.png: the pixel at x=0, y=" "has the value 255; the table of classes has 0 to 150" -- ade20k --root "$work/ade" --split val

say "CamVid as published: SegNet's splits, 32 colours"
check "a source" datasets original "$work/original" "$tables/camvid_original/classes.json" "$data"
for split in train val test; do
    expect_code 0 entrain pack camvid --root "$work/original" --split $split --out "$work/original/$split" &&
        shown datasets splits "$work/original/$split" "$tables/camvid_original/classes.json" "$data" $split
done
"$PYTHON" -c "from PIL import Image; Image.new('RGB', (8, 4), (1, 2, 3)).save('$work/original/LabeledApproved_full/0016E5_07959_L.png')"
refused "0016E5_07959_L.png: the pixel at x=0, y=0 has the colour 1 2 3" -- camvid --root "$work/original" --split val

say "a folder of one's own, with the table of another"
mkdir -p "$work/own/pictures" "$work/own/masks"
for file in "$data"/cityscapes/leftImg8bit/train/*/*.png; do
    id=$(basename "$file" _leftImg8bit.png)
    ln -s "$(realpath "$file")" "$work/own/pictures/$id.png"
    ln -s "$(realpath "$data/cityscapes/gtFine/train/${id%%_*}/${id}_gtFine_labelIds.png")" "$work/own/masks/$id.png"
done
own=(folder --root "$work/own" --split train --images-folder pictures --labels-folder masks)
expect_code 0 entrain pack "${own[@]}" --classes "$tables/cityscapes/classes.json" --out "$work/own/shards"
check "the same labels" datasets same "$work/own/shards" "$work/cityscapes/train"
refused "aachen_000000_000019.png: the pixel at x=6, y=5 has the value 23" "has 0 to 11" "4 faults" -- "${own[@]}" --classes "$tables/camvid/classes.json"
echo '{"classes": [{"name": "a", "colour": [0, 0, 0], "ids": [0, 256]}]}' >"$work/own.json"
refused "own.json: 3 mistakes" "did you mean color?" "classes[0].ids[1]: 256" -- "${own[@]}" --classes "$work/own.json"
expect_code 2 entrain pack "${own[@]}" --out "$work/refused"
expect_text "--classes TABLE.json"

say "image folders"
names=airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck
expect_code 0 entrain pack imagefolder --root "$data/cifar10_subset" --split test --out "$work/cifar"
shown datasets classes "$work/cifar" "$data/cifar10_subset/test" $names
tr , '\n' <<<$names | tac | sed 's/$/ and its kin/' >"$work/names.txt"
expect_code 0 entrain pack imagefolder --root "$data/cifar10_subset" --split test --classes "$work/names.txt" --out "$work/reverse"
shown datasets classes "$work/reverse" "$data/cifar10_subset/test" "$(paste -sd, "$work/names.txt")"
find "$data/cifar10_subset/test" -name '*.jpg' -printf '%P\n' | awk -F/ -v names=$names \
    'BEGIN { n = split(names, name, ","); for (i = 1; i <= n; i++) index_of[name[i]] = i - 1 } { print $0, index_of[$1] }' >"$work/list.txt"
tr , '\n' <<<$names >"$work/names.txt"
expect_code 0 entrain pack imagefolder --root "$data/cifar10_subset/test" --split test --list "$work/list.txt" --classes "$work/names.txt" --out "$work/listed"
shown datasets classes "$work/listed" "$data/cifar10_subset/test" $names
for shard in "$work"/cifar/*.h5; do check "a list of the same makes the same shards" cmp "$shard" "$work/listed/$(basename "$shard")"; done
echo "cat/nowhere.jpg 3" >>"$work/list.txt"
refused "cat/nowhere.jpg" -- imagefolder --root "$data/cifar10_subset/test" --split test --list "$work/list.txt" --classes "$work/names.txt"

finish
