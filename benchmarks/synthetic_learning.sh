#!/usr/bin/env bash
# Does pre-training beat an untrained encoder on synthetic patients of two sessions? About 40 minutes of one core.
#   benchmarks/synthetic_learning.sh OUT
set -euo pipefail
out=$1
recipe="$(dirname "${BASH_SOURCE[0]}")/../recipes/cpu.yaml"
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
# Convolutions free to move, codes that settle sooner, clipped gradients: the demo's settings.
settings=(--steps 1000 --encoder.feature-gradient-scale 1.0 --objective.gumbel-decay 0.999 --clip-norm 1.0
    --readout.pooling mean)

judge() { # RUN STORE
    local common=(--bundle "$out/$1" --stores "$out/$2" --names pre-trained --lead-sets 12 --pooling mean)
    anylead evaluate probe "${common[@]}" --out "$out/$1-probe-$2"
    anylead evaluate identify "${common[@]}" --out "$out/$1-identify-$2" --untrained 3
}

anylead prepare synthetic --out "$out/patients" --patients 1500 --sessions 2 --seed 20 \
    --test-fraction 0.4 --valid-fraction 0
anylead prepare synthetic --out "$out/strangers" --patients 1200 --sessions 2 --seed 21 \
    --test-fraction 0.5 --valid-fraction 0

# A: pairs in any order. B: the sessions of a person stand in one batch.
anylead pretrain --recipe "$recipe" --stores "$out/patients" --out "$out/a" --seed 0 --threads 1 "${settings[@]}"
anylead pretrain --recipe "$recipe" --stores "$out/patients" --out "$out/b" --seed 0 --threads 1 "${settings[@]}" \
    --feed.persons-together True
judge a patients
judge b patients
judge b strangers
