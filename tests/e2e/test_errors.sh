#!/usr/bin/env bash
# What goes wrong before or while data are read: the right exit code, a message that names the thing and what to do, on one rank and on two.
. "$(dirname "$0")/common.sh"
need_python numpy h5py PIL
. "$here/errors.sh"

pack_synthetic "$work/train" train 8 --shards 2
pack_synthetic "$work/val" val 2
config=$work/config.json
write_config "$config" "$work/train" ""
with() { sed "$@" "$config" >"$work/wrong.json"; } # SED-ARGUMENT...: a changed copy

say "usage"
both 2 "unknown option --colour|usage: entrain" "$config" --colour
both 2 "--out needs a value" "$config" --out
both 2 "one configuration file at a time" "$config" "$config"
both 2 "--set needs key.path=value" "$config" --set train.iterations
both 2 "--device tpu" "$config" --device tpu
both 2 "--checkpoint is missing" eval "$config"
both 2 "--split is missing" pack synthetic --out "$work/x"
both 2 "martian" pack martian --split train --out "$work/x"
both 2 "--images zero" pack synthetic --split train --out "$work/x" --images zero
both 2 "expected one folder" verify

say "configuration"
both 3 "$work/none.json" "$work/none.json"
with -e 's/"iterations"/"itterations"/'
both 3 "wrong.json|train.itterations|train.iterations" "$work/wrong.json" --out "$work/run"
with -e 's/"seed": 3/"seed": 3, "seed": 4/'
both 3 "train.seed|repeated|wrong.json" "$work/wrong.json" --out "$work/run"
with -e 's/"flip": true/"flip": "yes"/'
both 3 "data.flip|true or false|yes" "$work/wrong.json" --out "$work/run"
with -e 's/"iterations"/"itterations"/' -e 's/"momentum": 0.9/"momentum": 1.5/' -e 's/"crop": .48, 64./"crop": [48]/' -e 's/"deeplab_v2"/"deeplab_v9"/'
both 3 "4 mistakes|train.itterations|optimizer.momentum|data.crop|model.head|deeplab_v2" "$work/wrong.json" --out "$work/run"
both 3 "optimizer.lr|1e+30" "$config" --out "$work/run" --set optimizer.lr=1e30
both 3 "norm.typ|norm.type" "$config" --out "$work/run" --set norm.typ=bn
with -e 's/"global_batch": 4,/"global_batch": 4/'
both 3 "wrong.json|line" "$work/wrong.json" --out "$work/run"
both 3 "data.train|entrain pack" "$config" --out "$work/run" --set data.train=null
both 3 "train.class_weights|3 numbers|8 classes" "$config" --out "$work/run" --set 'train.class_weights=[1,2,3]'
expect_code 3 ranks 2 "$ENTRAIN_PROGRAM" "$config" --out "$work/run" --set train.global_batch=1
expect_text "train.global_batch" "2 ranks"
check "no run folder after a wrong configuration" test ! -e "$work/run"

say "device"
both 5 "--device cuda|--device auto" "$config" --out "$work/run" --device cuda

say "shards: missing, mixed, of other classes"
both 4 "$work/nowhere|entrain pack" "$config" --out "$work/run" --set data.train="$work/nowhere"
mkdir "$work/empty"
both 4 "$work/empty|holds no shards|entrain pack" "$config" --out "$work/run" --set data.train="$work/empty"
both 4 "$work/nowhere|entrain pack" verify "$work/nowhere"
spoil "$work/train"
rm "$work"/spoilt/*-00001-of-*
both 4 "$work/spoilt|shard 00001 of 00002 is missing" "$config" --out "$work/run" --set data.train="$work/spoilt"
spoil "$work/train"
cp "$work"/val/*.h5 "$work/spoilt"
both 4 "$work/spoilt|shards of two sets are mixed" "$config" --out "$work/run" --set data.train="$work/spoilt"
spoil "$work/val"
shards rename "$work/spoilt" 2 motorway
both 4 "data.val|$work/spoilt|data.train" "$config" --out "$work/run" --set data.val="$work/spoilt"
spoil "$work/train"
id=$(shards smaller "$work/spoilt" 1)
both 3 "data.crop|$id|32x80|64x80" "$config" --out "$work/run" --set data.train="$work/spoilt" --set data.crop=null
check "no run folder after wrong shards" test ! -e "$work/run"

say "shards: damaged"
spoil "$work/train"
cut_off "$work/spoilt/train-00000-of-00002.h5" 50
both 4 "train-00000-of-00002.h5" "$config" --out "$work/run" --set data.train="$work/spoilt"
both 4 "train-00000-of-00002.h5" verify "$work/spoilt"
spoil "$work/train"
read -r file id < <(shards flip "$work/spoilt" 2)
both 4 "$file sample 2|$id|checksum" verify "$work/spoilt"
# Training meets the sample in the first epoch of two steps.
for n in 1 2; do
    rm -rf "$work/run"
    expect_code 4 entrain_on $n "$config" --out "$work/run" --set data.train="$work/spoilt"
    expect_text "$file sample 2" "$id" "checksum" "Pack the data set again"
done
expect_code 4 ranks 2 "$ENTRAIN_PROGRAM" "$config" --out "$work/run2" --set data.val="$work/spoilt" --set train.iterations=1
expect_text "$file sample 2" "$id" "checksum"

say "labels out of range"
spoil "$work/train"
id=$(shards label "$work/spoilt" 3 17 9 200)
both 4 "train-00000-of-00002.h5 sample 3|$id|x=17, y=9|200" verify "$work/spoilt"
for n in 1 2; do
    rm -rf "$work/run"
    expect_code 4 entrain_on $n "$config" --out "$work/run" --set data.train="$work/spoilt"
    expect_text "train-00000-of-00002.h5 sample 3" "$id" "x=17, y=9" "200"
done

finish
