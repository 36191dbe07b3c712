# syntax=docker/dockerfile:1
#
#   docker build --tag sluice .                            the program, with the shipped pipelines
#   docker build --target stages --tag sluice-stages .     every stage as a program of its own besides
#   docker build --target source --tag sluice-source .     the demonstration file and its server
#
# Cache mounts (BuildKit, Buildah) keep registry and compiled crates between builds; without them everything is compiled again.

FROM rust:1.95-bookworm AS sources
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY model model
COPY zones zones
COPY cassandra cassandra
COPY pipelines pipelines
COPY tests tests

# What serves the demonstration file is built along: it shares every dependency.
FROM sources AS build
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --locked --profile dist --workspace --no-default-features --bins \
    && install -D --target-directory /out target/dist/sluice target/dist/session-events-file target/dist/serve-files

FROM sources AS build-stages
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --locked --profile dist --workspace --no-default-features --bins --features pipelines/stage-bins \
    && for stage in create-tables url-to-landing landing-to-raw raw-to-use-case raw-to-cassandra use-case-to-cassandra; do \
    install -D --target-directory /out "target/dist/$stage"; done

FROM build AS demonstration
RUN mkdir /files && /out/session-events-file --out /files/session_events.jsonl.bz2

FROM debian:bookworm-slim AS base
COPY --from=sources /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN groupadd --system --gid 10001 sluice \
    && useradd --system --uid 10001 --gid sluice --no-create-home --home-dir /data --shell /usr/sbin/nologin sluice \
    && install --directory --owner sluice --group sluice /data
USER 10001:10001
WORKDIR /data
# The first asks for a stop at a consistent point; the next run goes on from there.
STOPSIGNAL SIGTERM

FROM base AS source
LABEL org.opencontainers.image.title="Sluice: source of the demonstration" \
      org.opencontainers.image.description="The demonstration file of the session events pipeline, served over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=demonstration /files /files
COPY --from=build /out/serve-files /usr/local/bin/serve-files
EXPOSE 8080
ENTRYPOINT ["serve-files"]
CMD ["--dir", "/files", "--bind", "0.0.0.0:8080", "--ready-file", "/tmp/ready.json"]

FROM base AS program
LABEL org.opencontainers.image.title="Sluice" \
      org.opencontainers.image.description="Event files into Delta Lake and on into Cassandra: each event once" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY pipelines/session_events /usr/share/sluice/pipelines/session_events
COPY pipelines/oulad /usr/share/sluice/pipelines/oulad
COPY --from=build /out/sluice /usr/local/bin/sluice
# A debug run writes beside the lake, so the volume is the folder above it.
ENV SLUICE_PIPELINES=/usr/share/sluice/pipelines LAKE_URI=/data/lake
VOLUME /data

FROM program AS stages
COPY --from=build-stages /out /usr/local/bin

FROM program AS sluice
ENTRYPOINT ["sluice"]
CMD ["--help"]
