#!/usr/bin/env bash
# Trains an experiment on the GPUs of this machine or, under Slurm, of several: sbatch -N 2 experiments/launch/gpus.sh
#SBATCH --ntasks-per-node=1 --gres=gpu:8 --signal=B:TERM@120 --requeue --open-mode=append
# Edit this block; docs/how-to/pods.md explains it. One process drives all GPUs of a node.
set -euo pipefail
RUN=runs/first_voice/speech  # on a disk that all nodes share, or gs://
EXPERIMENT=experiments/recipes/first_voice.py
ARM=speech
MESH=data=8                  # data x fsdp x tensor is the number of GPUs of all nodes
DATA=cache/packed
DUBBER=dubber                # in the environment where `pip install 'jax[cuda12]' -e .` was done

export XLA_PYTHON_CLIENT_MEM_FRACTION=.92
# export XLA_FLAGS=--xla_gpu_deterministic_ops=true   # the same bits after a restart, and slower

command=("$DUBBER" train "$EXPERIMENT" --arm "$ARM" --workdir "$RUN" --packed "$DATA" --mesh "$MESH")
if [ -z "${SLURM_JOB_ID:-}" ]; then exec "${command[@]}"; fi

# Two minutes before the end of its time, and where it is preempted, this script gets SIGTERM: the run saves and ends,
# and the job is queued again, to go on from that checkpoint.
again=0
trap 'again=1; scancel --signal=TERM "$SLURM_JOB_ID.0"' TERM
srun "${command[@]}" &
code=0
wait $! || code=$?
while kill -0 $! 2> /dev/null; do code=0; wait $! || code=$?; done
if [ "$again" = 1 ]; then exec scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
