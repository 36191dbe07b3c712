# syntax=docker/dockerfile:1
#
#   docker build --tag sluice .                            the program, with the shipped pipelines
#   docker build --target stages --tag sluice-stages .     every stage as a program of its own besides
#   docker build --target source --tag sluice-source .     the demonstration file and its server
#
#   docker build --target packed --tag sluice .            the same as the first and the third, of programs that are built already
#   docker build --target packed-source ...                and lie in dist/image (make compose-test puts them there)
#
# Cache mounts (BuildKit, Buildah) keep registry and compiled crates between builds; without them everything is compiled again.
# Older Buildah builds every stage above the target, so what needs no compiler comes first.

FROM debian:bookworm-slim AS base
# Whichever is newest: authorities that sign certificates come and go.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
# The folders are made here so that a volume that is new belongs to the user.
RUN groupadd --system --gid 10001 sluice \
    && useradd --system --uid 10001 --gid sluice --no-create-home --home-dir /data --shell /usr/sbin/nologin sluice \
    && install --directory --owner sluice --group sluice /data \
    && install --directory --owner sluice --group sluice --mode 700 /keys
USER 10001:10001
WORKDIR /data
# The first asks for a stop at a consistent point; the next run goes on from there. Of `sluice serve`, for an end in order.
STOPSIGNAL SIGTERM

FROM base AS serving-files
LABEL org.opencontainers.image.title="Sluice: source of the demonstration" \
      org.opencontainers.image.description="The demonstration file of the session events pipeline, served over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
EXPOSE 8080
ENTRYPOINT ["serve-files"]
CMD ["--dir", "/files", "--bind", "0.0.0.0:8080", "--ready-file", "/tmp/ready.json"]

FROM base AS pipelines
LABEL org.opencontainers.image.title="Sluice" \
      org.opencontainers.image.description="Event files into Delta Lake, on into Cassandra, and out by a REST API: each event once" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY pipelines/session_events /usr/share/sluice/pipelines/session_events
COPY pipelines/oulad /usr/share/sluice/pipelines/oulad
# A debug run writes beside the lake, so the volume is the folder above it. API_KEYS is a file's name, no key.
# hadolint ignore=DL3064
ENV SLUICE_PIPELINES=/usr/share/sluice/pipelines LAKE_URI=/data/lake API_KEYS=/keys/api-keys.json

FROM pipelines AS packed
COPY dist/image/sluice /usr/local/bin/sluice
ENTRYPOINT ["sluice"]
CMD ["--help"]

FROM serving-files AS packed-source
COPY dist/image/session_events.jsonl.bz2 /files/session_events.jsonl.bz2
COPY dist/image/serve-files /usr/local/bin/serve-files

FROM node:22-bookworm-slim AS dashboard
WORKDIR /build
COPY dashboard/package.json dashboard/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY dashboard ./
RUN npm run build

FROM rust:1.95-bookworm AS sources
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY model model
COPY zones zones
COPY cassandra cassandra
COPY api api
COPY pipelines pipelines
COPY tests tests
COPY --from=dashboard /build/dist dashboard/dist

# What serves the demonstration file is built along: it shares every dependency.
FROM sources AS build
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --locked --profile dist --workspace --no-default-features \
    --bin sluice --bin session-events-file --bin serve-files \
    && install -D --target-directory /out target/dist/sluice target/dist/session-events-file target/dist/serve-files

FROM build AS demonstration
RUN mkdir /files && /out/session-events-file --out /files/session_events.jsonl.bz2

FROM serving-files AS source
COPY --from=demonstration /files /files
COPY --from=build /out/serve-files /usr/local/bin/serve-files

FROM pipelines AS program
COPY --from=build /out/sluice /usr/local/bin/sluice

# Under the name of a stage the program is that stage's.
FROM program AS stages
USER 0
RUN for stage in create-tables url-to-landing landing-to-raw raw-to-use-case raw-to-cassandra use-case-to-cassandra; do \
    ln -s sluice "/usr/local/bin/$stage"; done
USER 10001:10001

FROM program AS sluice
ENTRYPOINT ["sluice"]
CMD ["--help"]
