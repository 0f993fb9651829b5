#!/usr/bin/env bash
# What the README says is so: its marked commands run as they stand, their output looks as described, and its tables, links, messages and
# program text agree with the source.
. "$(dirname "$0")/common.sh"
need_python json
readme() { "$PYTHON" "$here/readme.py" "$@"; }

# As a reader has it: the project's folder with the program built, but nothing is written outside of $work.
folder=$work/project
mkdir -p "$folder/build" "$work/blocks" "$work/bin"
for name in configs launch tests; do ln -s "$ENTRAIN_SOURCE/$name" "$folder/$name"; done
ln -s "$ENTRAIN_PROGRAM" "$folder/build/entrain"
cd "$folder" || give_up "cannot enter $folder"
ln -s "$PYTHON" "$work/bin/python3"
export PATH=$work/bin:$PATH

# The reader's shell has no thread settings. With fewer cores than ranks mpirun would refuse them.
unset OMP_NUM_THREADS
export OMPI_MCA_rmaps_base_oversubscribe=1

say "tables, links, messages, keys, the C program"
expect_code 0 entrain config --markdown
cp "$output" "$work/keys.md"
check "the README agrees with the source" readme static "$ENTRAIN_SOURCE" "$work/keys.md"

# A block that python is needed for can be skipped only where h5py is missing; street.png, which the first one makes, is then replaced.
with_h5py=true
"$PYTHON" -c 'import h5py' 2>/dev/null || with_h5py=false
run_block() { # FILE
    case "$1" in
    *.sh) expect_code 0 limited bash -euo pipefail "$1" ;;
    *.py)
        if $with_h5py; then
            expect_code 0 limited "$PYTHON" "$1"
        else
            echo "not run, as $PYTHON has no h5py: $(basename "$1")"
            [ -e street.png ] || stand_in
        fi
        ;;
    esac
}
stand_in() { # any picture will do: one that the program draws itself
    expect_code 0 entrain pack synthetic --split test --images 1 --size 64x80 --out "$work/test"
    "$PYTHON" - "$work/test/test-00000-of-00001.h5" street.png <<'PYTHON'
import sys
data = open(sys.argv[1], "rb").read()
begin = data.index(b"\x89PNG\r\n\x1a\n")
open(sys.argv[2], "wb").write(data[begin:data.index(b"IEND", begin) + 8])
PYTHON
}

readme blocks "$ENTRAIN_SOURCE/README.md" "$work/blocks" >"$work/list" || give_up "$(cat "$work/list")"
[ "$(wc -l <"$work/list")" -ge 8 ] || fail "only $(wc -l <"$work/list") blocks are marked"
while read -r block; do
    say "block $block: $(grep -m1 -v '^import\|^$' "$work/blocks/$block")"
    run_block "$work/blocks/$block"
    cp "$output" "$work/$block.out"
done <"$work/list"

say "what the blocks leave"
for file in runs/tiny/checkpoints/best.h5 runs/tiny/checkpoints/step-00000020.h5 runs/tiny-gn/checkpoints/step-00000004.h5 runs/tiny/evaluation.json \
    runs/tiny/logits.h5 runs/tiny/pictures/street.png runs/tiny/pictures/street_overlay.png runs/tiny/pictures/val_000000_compare.png runs/tiny-launch/config.json; do
    [ -s "$file" ] || fail "$file is missing"
done
comparisons=(runs/tiny/pictures/*_compare.png)
same_text "comparisons made by predict --val 3" 3 "${#comparisons[@]}"
same_text "name of the newest checkpoint" "step-00000020.h5" "$(cat runs/tiny/checkpoints/latest)"
stops=$(cat "$work"/*.out | grep -c '^exit code 75$')
same_text "runs that were stopped with exit code 75" 2 "$stops"
grep -q '^resuming from runs/long/checkpoints/step-' runs/long/log.txt || fail "the stopped run was not resumed"
check "banner, log lines and metrics are as described" readme output "$ENTRAIN_SOURCE/README.md" runs/tiny

say "every row of the table of normalisers"
readme settings "$ENTRAIN_SOURCE/README.md" >"$work/settings"
[ "$(wc -l <"$work/settings")" -ge 14 ] || fail "the table of normalisers has only $(wc -l <"$work/settings") rows"
while read -r -a options; do
    expect_code 0 entrain check tiny.json "${options[@]}"
done <"$work/settings"

say "several hosts, of which there is one"
printf '# one line a machine\nlocalhost slots=2\n' >hosts
expect_code 0 env HOSTFILE=hosts CORES=1 launch/multi_node.sh tiny.json --out runs/hosts --set train.iterations=2 --set train.eval_every=0 --set data.val=null
expect_text "ranks        2 (mpi)"
printf 'localhost\n' >hosts
expect_code 2 env HOSTFILE=hosts CORES=1 launch/multi_node.sh tiny.json --out runs/none
expect_text "has no slots=N"

say "a SLURM job that is stopped queues itself again"
# Stand-ins: mpirun starts one process as mpirun would, and scontrol says what it was told.
cat >"$work/bin/scontrol" <<'SCRIPT'
#!/usr/bin/env bash
echo "scontrol $*"
SCRIPT
cat >"$work/bin/mpirun" <<'SCRIPT'
#!/usr/bin/env bash
echo "mpirun $*"
while [ "$1" != build/entrain ]; do shift; done
exec "$@"
SCRIPT
chmod +x "$work/bin/scontrol" "$work/bin/mpirun"
export SLURM_NTASKS=4 SLURM_CPUS_PER_TASK=8 SLURM_JOB_ID=77
bash launch/slurm.sbatch tiny.json --out runs/slurm --set train.iterations=100000 >"$output" 2>&1 &
job=$!
for _ in $(seq 300); do
    grep -q '^iter ' "$output" && break
    sleep 0.2
done
kill -USR1 "$job"
code=0
wait "$job" || code=$?
same_text "exit code of the stopped job" 75 "$code"
expect_text "mpirun -np 4 --map-by slot:PE=8 --bind-to core build/entrain tiny.json" "scontrol requeue 77" "a checkpoint is written"
expect_code 4 bash launch/slurm.sbatch tiny.json --out runs/slurm-wrong --set data.train=nowhere
expect_no_text "scontrol"

finish
