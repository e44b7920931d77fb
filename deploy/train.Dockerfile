# Training on TPU slices or GPUs: the package with JAX for the accelerator, and the experiments.
#
#   docker build -f deploy/train.Dockerfile -t REGISTRY/dubber-train .                               TPU
#   docker build -f deploy/train.Dockerfile -t REGISTRY/dubber-train --build-arg JAX=cuda12 .        NVIDIA GPU
#   docker run --rm REGISTRY/dubber-train train experiments/recipes/tiny.py --workdir /tmp/tiny      a check
#
# deploy/jobset.yaml runs it on GKE.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG JAX=tpu
WORKDIR /source
RUN python -m venv /opt/dubber && /opt/dubber/bin/pip install --no-cache-dir uv
ENV VIRTUAL_ENV=/opt/dubber UV_LINK_MODE=copy UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1
# Dependencies first: these layers stay while only the source changes.
COPY setup.cfg pyproject.toml README.md LICENSE NOTICE requirements-features.txt ./
RUN /opt/dubber/bin/uv pip install -r setup.cfg --extra features gcsfs
RUN /opt/dubber/bin/uv pip install --no-deps -r requirements-features.txt
RUN if [ "${JAX}" != cpu ]; then /opt/dubber/bin/uv pip install "jax[${JAX}]"; fi
COPY dubber_jax dubber_jax
COPY data_pipelines data_pipelines
RUN /opt/dubber/bin/uv pip install --no-deps . && /opt/dubber/bin/pip uninstall --yes uv

FROM python:${PYTHON}-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data dubber && install -d -o dubber -g dubber /data
COPY --from=build /opt/dubber /opt/dubber
COPY experiments /opt/experiments
ENV PATH=/opt/dubber/bin:$PATH HOME=/data DUBBER_CACHE=/data/cache PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
  NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /opt
USER dubber
VOLUME /data
# The process itself gets SIGTERM, on which it saves a checkpoint and ends.
STOPSIGNAL SIGTERM
ENTRYPOINT ["dubber"]
CMD ["train", "--help"]
