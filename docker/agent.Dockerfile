# The image of pika-agent. Built from the top of the repository:
#   docker build --file docker/agent.Dockerfile --tag pika-agent .
FROM rust:1.95-slim-trixie AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package pika-agent \
    && install --strip target/release/pika-agent /usr/local/bin/

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10002 --user-group --no-create-home --shell /usr/sbin/nologin pika \
    && install --directory --owner=10002 --group=10002 --mode=0700 /var/lib/pika-agent
COPY --from=build /usr/local/bin/pika-agent /usr/local/bin/
USER 10002:10002
VOLUME /var/lib/pika-agent
# Enrolls at the first start, with PIKA_AGENT_SERVER and PIKA_ENROLLMENT_TOKEN (or PIKA_ENROLLMENT_TOKEN_FILE).
ENTRYPOINT ["pika-agent", "run", "--enroll-if-needed"]
