# Tags can be moved, digests can't. To build from what you have looked at, give
# IMAGE@sha256:…, as `docker buildx imagetools inspect IMAGE` shows it, with
# --build-arg DENO_IMAGE=… and --build-arg BASE_IMAGE=…. None is written here:
# there was no registry within reach to ask.
ARG DENO_IMAGE=denoland/deno:debian-2.9.6
ARG BASE_IMAGE=debian:trixie-slim

FROM ${DENO_IMAGE} AS build
WORKDIR /src
COPY deno.json deno.lock main.ts ./
COPY lib lib
COPY tools tools
# Not `deno task compile`: from JSR, nothing would hold what @std is (see
# tools/std_source.ts). This lock file knows every package, and no other is taken.
RUN deno run -q --no-lock -P=compile tools/compile.ts \
  --import-map=tools/npm/import_map.json --lock=tools/npm/deno.lock --frozen

# glibc and libstdc++ are all that the executable needs; DuckDB's musl build is
# not in it, so Alpine will not do.
FROM ${BASE_IMAGE}
# tini takes up what a task's program leaves behind: agent-runner is not an init.
RUN apt-get update && apt-get install -y --no-install-recommends tini \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/dist/agent-runner /usr/local/bin/agent-runner
# The first start unpacks DuckDB's library beside the executable. Done here, it
# costs no container start, and the root file system can be read-only.
RUN agent-runner --version \
  && useradd --system --uid 10001 --no-create-home agent-runner \
  && install -d -o agent-runner -g agent-runner /data
USER 10001
# agent-runner.json is looked for here.
WORKDIR /data
ENV HANDSFREE_DB_PATH=/data/handsfree.duckdb
# Nobody may take what was simulated for work.
ENV HANDSFREE_AGENT_SIMULATE=never
# glibc keeps less of the memory that DuckDB gives back: 30 MB under full load.
ENV MALLOC_ARENA_MAX=2
VOLUME /data
STOPSIGNAL SIGTERM
# Reading one task proves that the file can be opened and that the runner lets
# go of it in turn. It can't pass beside `run --exclusive`: start such a
# container with --no-healthcheck.
HEALTHCHECK --interval=60s --timeout=20s --start-period=20s --retries=3 \
  CMD ["agent-runner", "list", "--json", "--limit", "1"]
ENTRYPOINT ["tini", "--", "agent-runner"]
CMD ["run", "--loop"]
