#!/usr/bin/env bash
# Trains an experiment on the GPUs of this machine or, under Slurm, of several: sbatch -N 2 experiments/launch/gpus.sh
#SBATCH --ntasks-per-node=1 --gres=gpu:8 --signal=TERM@120
# Edit this block; docs/how-to/pods.md explains it. One process drives all GPUs of a node.
set -euo pipefail
RUN=runs/film                # on a disk that all nodes share, or gs://
EXPERIMENT=experiments/recipes/first_voice.py
ARM=film
MESH=data=8                  # data x fsdp x tensor is the number of GPUs of all nodes
DATA=cache/packed
DUBBER=dubber                # in the environment where `pip install 'jax[cuda13]' -e .` was done

export XLA_PYTHON_CLIENT_MEM_FRACTION=.92
# export XLA_FLAGS=--xla_gpu_deterministic_ops=true   # the same bits after a restart, and slower

command=("$DUBBER" train "$EXPERIMENT" --arm "$ARM" --workdir "$RUN" --packed "$DATA" --mesh "$MESH")
if [ -n "${SLURM_JOB_ID:-}" ]; then exec srun "${command[@]}"; fi
exec "${command[@]}"
