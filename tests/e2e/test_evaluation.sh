#!/usr/bin/env bash
# Evaluation as a whole: the matrix is that of the network's logits, the same on any number of ranks; memory stays within what is said; a bad
# sample is named and ends all ranks; submissions are what predict writes, under the data set's names.
. "$(dirname "$0")/common.sh"
need_python numpy h5py PIL
evaluation() { "$PYTHON" "$here/evaluation.py" "$@"; }
shards() { "$PYTHON" "$here/shards.py" "$@"; }

pack_synthetic "$work/train" train 12
pack_synthetic "$work/val" val 7
pack_synthetic "$work/few" val 2
write_config "$work/config.json" "$work/train" ""
expect_code 0 entrain "$work/config.json" --out "$work/run" --set train.iterations=25 --set train.log_every=25 || give_up "no network to work with"
eval_on() { # RANKS OPTION...
    local n=$1
    shift
    entrain_on "$n" eval "$work/config.json" --checkpoint "$work/run" --set "data.val=$work/val" "$@"
}

say "the matrix is that of the logits"
compared() { # SETTINGS OPTION...
    local settings=$1
    shift
    expect_code 0 eval_on 1 --set "data.val=$work/few" "$@" --confusion "$work/matrix.h5" || return 1
    check "$settings" evaluation compare "$work/matrix.h5" "$work/config.json" "$work/run" "$work/few" "$work/logits" "$settings"
}
compared '{}'
compared '{"scales": [0.75, 1, 1.5], "flip": true}' --scales 0.75,1,1.5 --flip
compared '{"mode": "slide", "crop": [37, 51], "stride": [19, 23], "flip": true}' --mode slide --crop 37,51 --stride 19,23 --flip
if evaluation compare "$work/matrix.h5" "$work/config.json" "$work/run" "$work/few" "$work/logits" '{"flip": true}' >/dev/null 2>&1; then
    fail "the comparison takes another evaluation for the same"
fi

say "any number of ranks gives the identical matrix"
options=(--short-sides 40,70 --max-side 80 --flip --mode slide --crop 33,47 --json)
for n in 1 2 4; do
    expect_code 0 eval_on $n "${options[@]}" "$work/figures-$n.json" --confusion "$work/matrix-$n.h5" --picture "$work/picture-$n.png"
done
expect_text "windows of 33x47 every 22x32, shorter sides 40, 70 (longer side at most 80), each mirrored as well"
for n in 2 4; do
    for name in figures- matrix- picture-; do
        file=$(ls "$work/$name$n".*)
        check "$name on $n ranks" cmp "${file/$name$n/${name}1}" "$file"
    done
done
same_text "settings in the JSON" '[40, 70] 80 slide [33, 47] [22, 32] True' "$("$PYTHON" -c '
import json, sys
line = json.load(open(sys.argv[1]))
print(*(line[key] for key in ("short_sides", "max_side", "mode", "crop", "stride", "flip")))' "$work/figures-1.json")"

say "options that cannot be meant"
for option in --json --confusion --picture; do
    expect_code 4 eval_on 2 $option "$work/nowhere/file"
    expect_text "$option $work/nowhere/file: the folder $work/nowhere cannot be reached" # and that before the work
    expect_no_text "evaluating"
done
expect_code 4 eval_on 1 --json "$work"
expect_code 2 eval_on 1 --crop 33,47
expect_text "--crop with eval.mode whole"
expect_code 2 eval_on 2 --stride 20,20 --mode whole
expect_text "--stride with eval.mode whole"
expect_code 0 eval_on 1 --stride 20,20 --set eval.mode=slide
expect_code 2 eval_on 1 --max-side 80
expect_text "--max-side without --short-sides"
expect_code 0 eval_on 1 --max-side 80 --set "eval.short_sides=[40]"
expect_code 2 eval_on 1 --scales 1 --short-sides 40
expect_text "--scales and --short-sides"
many=()
for ((i = 0; i < 126; i++)); do many+=(--set train.seed=$i); done
expect_code 2 eval_on 1 "${many[@]}" --scales 1
expect_text "more than 128 --set options"
expect_code 3 eval_on 1 --mode slide --crop 33,47 --stride 34,47
expect_text "eval.stride: expected at most the window"

say "predictions"
evaluation pictures "$work/pictures" "$work/val"
mkdir "$work/again"
cp "$work/pictures/val_000000.png" "$work/again/val_000001_overlay.png"
cp "$work/pictures/val_000000.png" "$work/again/val_000001.png"
predict() { entrain predict "$work/config.json" --checkpoint "$work/run" --set "data.val=$work/val" "$@"; }
several=("$work/pictures/val_000001.png" "$work/again/val_000001.png" "$work/again/val_000001_overlay.png")
names=val_000001,val_000001-2,val_000001_overlay-2
expect_code 0 predict --out "$work/named" --logits "$work/logits.h5" --val 7 "${several[@]}"
check "logits of one pass" evaluation logits "$work/logits.h5" $names 1
same_text "files of 10 images" $((2 * 10 + 7)) "$(ls "$work/named" | wc -l)"
for options in "--flip" "--scales 1,2" "--mode slide --crop 33,47"; do
    expect_code 0 predict --out "$work/named" --logits "$work/logits.h5" $options "${several[@]}"
    check "no logits of one pass: $options" evaluation logits "$work/logits.h5" $names 0
done

say "submissions"
expect_code 0 entrain predict "$work/config.json" --checkpoint "$work/run" --out "$work/predicted" --flip "$work"/pictures/*
submit() { # RANKS FOLDER OPTION...
    local n=$1 folder=$2
    shift 2
    entrain_on "$n" predict "$work/config.json" --checkpoint "$work/run" --set "data.val=$work/val" --flip --submit --out "$work/$folder" "$@"
}
for n in 1 3; do
    expect_code 0 submit $n "submit-$n"
    check "labels alone, on $n ranks" evaluation submitted "$work/submit-$n" "$work/val" "$work/predicted" ""
done
expect_code 0 submit 2 submit-files "$work"/pictures/*
check "of image files" evaluation submitted "$work/submit-files" "$work/val" "$work/predicted" ""
evaluation dataset "$work/val" cityscapes
expect_code 0 submit 2 submit-city
check "under Cityscapes' names" evaluation submitted "$work/submit-city" "$work/val" "$work/predicted" _leftImg8bit
expect_code 2 submit 2 submit-twice "$work/pictures/val_000000.png" "$work/pictures/val_000000.png"
expect_text "both would be written"
expect_code 2 submit 1 submit-val --val 3
cp -r "$work/val" "$work/renamed"
shards rename "$work/renamed" 1 elsewhere
expect_code 4 submit 2 submit-renamed --set "data.val=$work/renamed"
expect_text "class 1 is elsewhere"
expect_code 0 eval_on 1 --set "data.val=$work/renamed"
expect_text "class 1 is elsewhere"
cp -r "$work/val" "$work/twins"
evaluation ids "$work/twins"
expect_code 4 submit 2 submit-twins --set "data.val=$work/twins"
expect_text "a/same and b/same: both would be written to"

say "a bad sample is named and ends all ranks"
read -r shard id < <(shards flip "$work/val" 1)
for n in 1 3; do
    expect_code 4 eval_on $n
    expect_text "$shard" "$id"
    expect_code 4 submit $n "submit-bad-$n"
    expect_text "$shard" "$id"
done
rm -rf "$work/val"
pack_synthetic "$work/val" val 7
id=$(shards label "$work/val" 2 5 6 99)
for n in 1 3; do
    expect_code 4 eval_on $n
    expect_text "$id" "label 99 at x 5, y 6 is out of range"
done

say "weights that are not finite"
cp "$(ls "$work"/run/checkpoints/step-*.h5 | tail -n 1)" "$work/spoilt.h5"
check "spoilt" evaluation spoil "$work/spoilt.h5"
for n in 1 2; do
    expect_code 7 eval_on $n --checkpoint "$work/spoilt.h5" --set "data.val=$work/few"
    expect_text "$work/few/" "sample 0 (id val_000000): the network's scores are not finite numbers"
done
expect_code 7 predict --checkpoint "$work/spoilt.h5" --out "$work/spoilt" "$work/pictures/val_000001.png"
expect_text "$work/pictures/val_000001.png: the network's scores are not finite"

say "the largest pass is not that of the largest image"
cp -r "$work/few" "$work/flat"
check "cut" evaluation cut "$work/flat" 16
expect_code 0 eval_on 1 --set "data.val=$work/flat" --short-sides 64
expect_text "for the network on 64x320 pixels" "for networks of other sizes"
expect_code 0 eval_on 1 --set "data.val=$work/few" --short-sides 64
expect_text "for the network on 64x80 pixels"
expect_no_text "for networks of other sizes"

say "large images"
E2E_LIMIT=300
for size in 64x64 2048x1024 4000x6000; do pack_synthetic "$work/large-$size" val 1 --shards 1; done
check "made" evaluation big "$work/large-64x64" 1000 1000 19
check "made" evaluation big "$work/large-2048x1024" 1024 2048 19
check "made" evaluation big "$work/large-4000x6000" 4000 6000 19
large=(--set norm.type=bn --set model.output_stride=32 --set model.aux_weight=0)
expect_code 0 entrain "$work/config.json" --out "$work/large" "${large[@]}" --set "data.train=$work/large-64x64" --set 'data.crop=[32,32]' \
    --set train.global_batch=2 --set train.iterations=1 || give_up "no network for large images"
peak() { # BASE SIZE OPTION...
    local base=$1 size=$2
    shift 2
    evaluation peak "$base" "$ENTRAIN_PROGRAM" eval "$work/config.json" --checkpoint "$work/large" "${large[@]}" \
        --set "data.val=$work/large-$size" "$@"
}
bounded() { # WHAT BASE SIZE OPTION...
    local what=$1
    shift
    said=$(peak "$@" 2>&1) || fail "$what"
    echo "   $what: $said"
}
slide=(--mode slide --crop 1000,1000)
if base=$(peak 0 64x64 "${slide[@]}"); then
    bounded "1024x2048 slides" "$base" 2048x1024 "${slide[@]}"
    bounded "4000x6000 slides" "$base" 4000x6000 "${slide[@]}" --stride 1000,1000
    bounded "4000x6000 at two sizes, mirrored, windows overlap" "$base" 4000x6000 --short-sides 400,700 --flip --mode slide --crop 400,400
    bounded "1024x2048 whole, mirrored" "$base" 2048x1024 --flip
    bounded "1024x2048 whole, at three sizes" "$base" 2048x1024 --scales 0.5,1,0.75
else
    fail "$base"
fi
expect_code 0 entrain eval "$work/config.json" --checkpoint "$work/large" "${large[@]}" --set "data.val=$work/large-2048x1024"
expect_text "whole images" "of 19 classes" "2056192 pixels"
finish
