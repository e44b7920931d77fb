# The server of dubber_jax: speech, dubs and the director's desk.
#
#   docker build -t dubber .                               CPU
#   docker build -t dubber --build-arg JAX=cuda12 .        NVIDIA GPU; run it with --gpus all
#   docker run --rm -p 127.0.0.1:8000:8000 -e DUBBER_TOKEN=... -v dubber:/data dubber
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG JAX=cpu
WORKDIR /source
RUN python -m venv /opt/dubber && /opt/dubber/bin/pip install --no-cache-dir uv
ENV VIRTUAL_ENV=/opt/dubber UV_LINK_MODE=copy UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1
# Dependencies first: these layers stay while only the source changes.
COPY setup.cfg pyproject.toml README.md LICENSE NOTICE requirements-features.txt ./
RUN /opt/dubber/bin/uv pip install -r setup.cfg --extra features --extra editorial --extra serve
RUN /opt/dubber/bin/uv pip install --no-deps -r requirements-features.txt
RUN if [ "${JAX}" != cpu ]; then /opt/dubber/bin/uv pip install "jax[${JAX}]"; fi
COPY dubber_jax dubber_jax
COPY data_pipelines data_pipelines
RUN /opt/dubber/bin/uv pip install --no-deps . && /opt/dubber/bin/pip uninstall --yes uv

FROM python:${PYTHON}-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data dubber && install -d -o dubber -g dubber /data
COPY --from=build /opt/dubber /opt/dubber
ENV PATH=/opt/dubber/bin:$PATH HOME=/data DUBBER_CACHE=/data/cache PYTHONDONTWRITEBYTECODE=1 \
  NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /data
USER dubber
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=180s --retries=4 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# Listening for other machines needs a token: DUBBER_TOKEN.
ENTRYPOINT ["dubber"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--home", "/data/server"]
