# The image of pika-server. Built from the top of the repository:
#   docker build --file docker/server.Dockerfile --tag pika-server .
FROM node:22-slim AS console
WORKDIR /source/server/web
COPY server/web/package.json server/web/package-lock.json server/web/.npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY server/web .
RUN npm run build

FROM rust:1.95-slim-trixie AS build
WORKDIR /source
COPY . .
COPY --from=console /source/server/web/dist server/web/dist
# The caches outlive the build, so only changes are recompiled; the binary is copied out of them to become part of the
# image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package pika-server \
    && install --strip target/release/pika-server /usr/local/bin/
# What the server offers for installing agents: static programs for both architectures.
RUN apt-get update \
    && case $(uname -m) in \
        x86_64) apt-get install --yes --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;; \
        aarch64) apt-get install --yes --no-install-recommends gcc-x86-64-linux-gnu libc6-dev-amd64-cross ;; \
    esac \
    && rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    docker/agent/build.sh /usr/local/share/pika-install

FROM debian:trixie-slim
# For database connections over TLS.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin pika \
    && install --directory --mode=0700 --owner=pika --group=pika /var/lib/pika
COPY --from=build /usr/local/bin/pika-server /usr/local/bin/
COPY --from=build /usr/local/share/pika-install /usr/local/bin/pika-install
USER 10001:10001
ENV PIKA_SERVER_ADDR=0.0.0.0:18888
EXPOSE 18888
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["pika-server", "healthcheck", "--url", "http://127.0.0.1:18888"]
ENTRYPOINT ["pika-server"]
CMD ["serve"]
