#!/usr/bin/env bash
# Does pre-training beat an untrained encoder on synthetic patients of two sessions? About half an hour of one core.
#   benchmarks/synthetic_learning.sh OUT
# The patients (seed 7) are others than those on which read-out and whitening were chosen (seed 0).
set -euo pipefail
out=$1
recipe="$(dirname "${BASH_SOURCE[0]}")/../recipes/cpu.yaml"
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
anylead prepare synthetic --out "$out/store" --patients 900 --sessions 2 --seed 7 \
    --test-fraction 0.4 --valid-fraction 0
anylead pretrain --recipe "$recipe" --stores "$out/store" --out "$out/pretrain" --seed 0 --threads 1
anylead evaluate probe --bundle "$out/pretrain" --stores "$out/store" --out "$out/probe" \
    --names pre-trained --lead-sets 12 --pooling mean
anylead evaluate identify --bundle "$out/pretrain" --stores "$out/store" --out "$out/identify" \
    --names pre-trained --lead-sets 12 --pooling mean_std
