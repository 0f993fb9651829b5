#!/usr/bin/env bash
# What `entrain check` tells before a run, that it writes nothing, and the commands that only print.
. "$(dirname "$0")/common.sh"

pack_synthetic "$work/train" train 12
pack_synthetic "$work/val" val 3
write_config "$work/config.json" "$work/train" "$work/val"

say "check"
mkdir "$work/empty"
cd "$work/empty" || give_up "no folder"
listing() { (cd "$work" && find . -type f ! -name output -printf '%p %s %T@\n' | sort); }
before=$(listing)
expect_code 0 entrain check "$work/config.json"
expect_text "resnet18, stride 16" "en of bn,in,ln" "12 training images, 3 for validation, 8 classes" \
    backbone.conv1 backbone.bn1 backbone.layer4.1.bn2 head.convs.3 aux.4 "in order"
for word in "parameters" "activations" "MiB" "images a step"; do expect_text "$word"; done
row() { grep -Eq "^ *$1 +$2 +[0-9]+ +[0-9]+ *$" "$output" || { fail "no row: rank $1 has $2 images"; show_output; }; }
row 0 4
expect_code 0 ranks 2 "$ENTRAIN_PROGRAM" check "$work/config.json" --set train.global_batch=5
row 0 2
row 1 3
same_text "tables of ranks printed" 1 "$(grep -c 'images a step' "$output")"
expect_code 0 entrain check "$work/config.json" --set norm.type=gn --set model.head=fcn --set model.output_stride=8
expect_text "norm         gn" "stride 8" head.4
same_text "files after check" "$before" "$(listing)"
same_text "files in the working folder" "" "$(ls -A)"

say "check finds what training would stumble over"
expect_code 4 entrain check "$work/config.json" --set data.train="$work/nowhere"
expect_text "$work/nowhere" "entrain pack"
expect_code 3 entrain check "$work/config.json" --set model.output_stride=12
expect_text "model.output_stride"

say "commands that only print"
expect_code 0 entrain info
expect_text "entrain " "HDF5" "CPUs" "device " "synthetic" "camvid"
expect_code 0 ranks 2 "$ENTRAIN_PROGRAM" info
expect_text "ranks        2"
same_text "times that info is printed on 2 ranks" 1 "$(grep -c '^HDF5' "$output")"
say "waiting threads spin shortly, unless told otherwise"
expect_code 0 env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT OMP_DISPLAY_ENV=verbose "$ENTRAIN_PROGRAM" --version
expect_text "GOMP_SPINCOUNT = '2000'"
expect_code 0 env -u OMP_WAIT_POLICY GOMP_SPINCOUNT=77 OMP_DISPLAY_ENV=verbose "$ENTRAIN_PROGRAM" --version
expect_text "GOMP_SPINCOUNT = '77'"
expect_no_text "GOMP_SPINCOUNT = '2000'"

expect_code 0 entrain config
expect_text "train.global_batch" "norm.methods" "schedule.warmup"
expect_code 0 entrain config --markdown
expect_text "| \`train.global_batch\`"
expect_code 0 entrain config --schema
check "the schema is JSON" python3 -m json.tool "$output"
expect_code 0 entrain --version
version=$(cat "$output")
grep -Eqx 'entrain [0-9]+\.[0-9]+\.[0-9]+' "$output" || fail "--version prints: $version"
for command in "" train check pack verify eval predict bench config info; do
    for help in --help -h; do
        expect_code 0 entrain $command $help
        expect_text "entrain${command:+ }"
        [ -z "$command" ] || [ "$command" = train ] || expect_text "usage: entrain $command"
    done
done
expect_code 0 entrain --help
expect_text train check pack verify eval predict bench config info "exit codes"
expect_code 2 entrain
expect_text "commands:"
same_text "files in the working folder" "" "$(ls -A)"

finish
