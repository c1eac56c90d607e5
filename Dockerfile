# SPDX-License-Identifier: Apache-2.0
# mnc in a container, on x86-64 or 64-bit ARM; docs/platforms.md has the commands. It builds for the CPU that it
# runs on (target `host`), into the folder that is mounted at /work.
FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates gcc libc6-dev make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
# Of an index with builds of PyTorch for CPUs; without it, what PyPI has.
ARG MNC_TORCH_INDEX=
COPY . /mnc
RUN make -C /mnc setup
WORKDIR /work
ENTRYPOINT ["/mnc/.venv/bin/mnc"]
CMD ["build"]
