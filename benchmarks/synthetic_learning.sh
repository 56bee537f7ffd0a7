#!/usr/bin/env bash
# Does pre-training beat an untrained encoder on synthetic patients of two sessions? About an hour of one core.
#   benchmarks/synthetic_learning.sh OUT
set -euo pipefail
out=$1
recipe="$(dirname "${BASH_SOURCE[0]}")/../recipes/cpu.yaml"
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

judge() { # RUN POOLING STORE
    anylead evaluate identify --bundle "$out/$1" --stores "$out/$3" --out "$out/$1-identify-$3" \
        --names pre-trained --lead-sets 12 --pooling "$2"
}
probe() { # RUN
    anylead evaluate probe --bundle "$out/$1" --stores "$out/store" --out "$out/$1-probe" \
        --names pre-trained --lead-sets 12 --pooling mean
}

anylead prepare synthetic --out "$out/store" --patients 900 --sessions 2 --seed 7 \
    --test-fraction 0.4 --valid-fraction 0
anylead prepare synthetic --out "$out/strangers" --patients 1200 --sessions 2 --seed 8 \
    --test-fraction 0.99 --valid-fraction 0

anylead pretrain --recipe "$recipe" --stores "$out/store" --out "$out/a" --seed 0 --threads 1
probe a
judge a mean_std store
judge a mean strangers

anylead pretrain --recipe "$recipe" --stores "$out/store" --out "$out/b" --seed 0 --threads 1 \
    --steps 700 --feed.persons-together True
probe b
judge b mean store
