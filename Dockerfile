# docker build --target cpu -t vidgan:cpu .
# docker run --rm --shm-size=1g -v "$PWD/runs:/runs" vidgan:cpu demo --out /runs/demo
#
# docker build --target gpu -t vidgan:gpu .
# docker run --rm --gpus all --ipc=host -v "$PWD/data:/data:ro" -v "$PWD/runs:/runs" vidgan:gpu \
#     train dvd-gan-k600-12x64 --data /data/mine --out /runs/mine
#
# The folders that are mounted have to be writable by user 1000, or name another by --user.

FROM python:3.11-slim-bookworm AS build
COPY . /source
WORKDIR /source
# The version is that of the git tag, unless one is given: --build-arg VERSION=1.2.3
ARG VERSION=""
RUN if [ -n "$VERSION" ]; then export SETUPTOOLS_SCM_PRETEND_VERSION="$VERSION"; \
    else apt-get update && apt-get install -y --no-install-recommends git=1:2.*; fi \
    && pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm AS cpu
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    set -- /wheels/*.whl \
    && pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -c /constraints.txt \
    "$1[log,fast,plot]"
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["vidgan"]
CMD ["--help"]

FROM python:3.11-slim-bookworm AS gpu
# torch.compile builds its kernels with a C compiler. Of CUDA, PyPI's torch brings all but the host's driver.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc=4:* libc6-dev=2.* \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    set -- /wheels/*.whl \
    && pip install --no-cache-dir -c /constraints.txt "$1[log,fast,plot]"
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["vidgan"]
CMD ["--help"]
