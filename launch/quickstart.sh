#!/usr/bin/env bash
# From a bare Debian or Ubuntu to a trained network with pictures: install what is missing, build, pack the built-in synthetic set, train with
# Exemplar Normalization on two ranks, evaluate, segment a few validation images. A few minutes on two cores.
# usage: launch/quickstart.sh [FOLDER]     default: ./quickstart
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-quickstart}
start=$SECONDS
step() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - start)); }

step "installing what is missing"
launch/install.sh

step "building"
cmake -S . -B build -DENTRAIN_TESTS=OFF >build.log 2>&1 || { cat build.log; exit 2; }
cmake --build build -j "$(nproc)" >>build.log 2>&1 || { tail -n 40 build.log; exit 2; }
rm -f build.log
entrain=build/entrain

# Two ranks need --oversubscribe on a machine with one core, and root must say that it means it.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ranks=(mpirun --oversubscribe -np 2)
if [ "$(nproc)" -gt 2 ]; then ranks=(mpirun --oversubscribe --map-by "slot:PE=$(($(nproc) / 2))" -np 2); fi

step "packing the synthetic data set"
"$entrain" pack synthetic --split train --out "$out/shards/train"
"$entrain" pack synthetic --split val --out "$out/shards/val"

step "training on two ranks"
resume=()
if [ -d "$out/run" ]; then resume=(--resume); fi
"${ranks[@]}" "$entrain" configs/quickstart.json --set "data.train=$out/shards/train" --set "data.val=$out/shards/val" --out "$out/run" "${resume[@]}"

step "evaluating the best checkpoint"
"$entrain" eval configs/quickstart.json --set "data.val=$out/shards/val" --checkpoint "$out/run" --json "$out/evaluation.json"

step "segmenting validation images"
"$entrain" predict configs/quickstart.json --set "data.val=$out/shards/val" --checkpoint "$out/run" --out "$out/pictures" --val 6

step "done"
echo "trained network   $out/run/checkpoints/best.h5"
echo "figures           $out/evaluation.json, $out/run/metrics.jsonl"
echo "pictures          $out/pictures/*_compare.png: image, truth, prediction"
