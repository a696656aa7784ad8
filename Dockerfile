# vsr as a container: `docker run IMAGE` is `vsr web`, `docker run IMAGE serve` answers as SageMaker's containers do, and
# every other command of vsr goes the same way. docs/web.md shows how; for CUDA:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 -t vsr:cuda .
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=web,cloud,live,heic
# A layer of its own, which a change of vsr leaves alone; the range is that of pyproject.toml.
RUN python3 -m venv /opt/vsr && \
    /opt/vsr/bin/pip install --no-cache-dir --index-url "${TORCH_INDEX}" "torch>=2.6,<2.14"
COPY pyproject.toml README.md LICENSE NOTICE /src/
COPY configs /src/configs
COPY vsr /src/vsr
RUN /opt/vsr/bin/pip install --no-cache-dir "/src[${EXTRAS}]"

FROM ${BASE}
LABEL org.opencontainers.image.title="vsr" org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/vsr /opt/vsr
# Models, uploads and jobs are kept in /data; SageMaker lays a model into /opt/ml/model.
RUN useradd --uid 10001 --create-home vsr && install -d -o vsr /data /opt/ml/model
ENV PATH=/opt/vsr/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_DATA_HOME=/data \
    XDG_CACHE_HOME=/data/cache \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
# SageMaker wants root: --build-arg RUN_AS=root.
ARG RUN_AS=vsr
USER ${RUN_AS}
WORKDIR /data
VOLUME /data
EXPOSE 8000 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s CMD ["python", "-m", "vsr.web.healthy"]
ENTRYPOINT ["vsr"]
CMD ["web", "--host", "0.0.0.0", "--data", "/data/web"]
