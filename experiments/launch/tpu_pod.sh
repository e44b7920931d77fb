#!/usr/bin/env bash
# Trains an experiment on every host of one or more TPU slices. Edit this block; docs/how-to/pods.md explains it.
set -euo pipefail
PROJECT=my-project
ZONE=us-east5-a
TYPE=v5p-64                  # 64 cores: 32 chips on 8 hosts
RUNTIME=v2-alpha-tpuv5
SLICES=1                     # more than one: `data` is the outer axis over the slower network between them
NAME=dubber
CODE=gs://my-bucket/dubber_jax.tar.gz      # written by `push`
RUN=gs://my-bucket/runs/first_voice/speech
EXPERIMENT=experiments/recipes/first_voice.py
ARM=speech
MESH=data=32                 # data x fsdp x tensor is the number of chips of all slices
DATA=gs://my-bucket/packed    # copied to each host's disk by `install`

slices() { for i in $(seq 0 $((SLICES - 1))); do echo "$NAME-$i"; done; }
on_all() { for s in $(slices); do at "$s" "$1" & done; wait; }
at() { gcloud compute tpus tpu-vm ssh "$1" --project="$PROJECT" --zone="$ZONE" --worker=all --command="$2"; }

case ${1:?say create, push, install, train, stop or delete} in
  create)
    for s in $(slices); do
      gcloud compute tpus queued-resources create "$s" --node-id="$s" --project="$PROJECT" --zone="$ZONE" \
        --accelerator-type="$TYPE" --runtime-version="$RUNTIME" --spot
    done ;;
  push) git archive --format=tar.gz HEAD | gcloud storage cp - "$CODE" ;;
  install)
    on_all "mkdir -p dubber_jax && gcloud storage cat $CODE | tar xz -C dubber_jax &&
      python3.11 -m venv env && env/bin/pip install -q -U 'jax[tpu]' -e './dubber_jax' gcsfs &&
      mkdir -p data && gcloud storage rsync -r $DATA data" ;;
  train)  # again after a preemption: it goes on from the last checkpoint
    number=0
    for s in $(slices); do
      env=''
      if [ "$SLICES" -gt 1 ]; then
        first=$(gcloud compute tpus tpu-vm describe "$NAME-0" --project="$PROJECT" --zone="$ZONE" \
          --format='value(networkEndpoints[0].ipAddress)')
        env="MEGASCALE_COORDINATOR_ADDRESS=$first:8080 MEGASCALE_NUM_SLICES=$SLICES MEGASCALE_SLICE_ID=$number"
      fi
      at "$s" "cd dubber_jax && $env nohup ../env/bin/dubber train $EXPERIMENT --arm $ARM --workdir $RUN \
        --packed ../data --mesh $MESH > ~/train.log 2>&1 &" &
      number=$((number + 1))
    done
    wait ;;
  stop) at "$NAME-0" "pgrep -o -x dubber | xargs -r kill" ;;  # SIGTERM to some is enough: all save and end
  delete)
    for s in $(slices); do
      gcloud compute tpus queued-resources delete "$s" --project="$PROJECT" --zone="$ZONE" --force --quiet
    done ;;
  *) echo "no command $1" >&2; exit 2 ;;
esac
