# The service's image: docker build --build-arg REVISION="$(git rev-parse HEAD)" -t aqua-orders .
#
# PostgreSQL is not in it: name a server in DATABASE_URL (compose.yaml brings one along).

FROM docker.io/library/rust:1.95-bookworm AS builder
WORKDIR /build

# The dependencies, in a layer of their own: it is built anew only when these files change. The crate itself is a
# stand-in here. It is cleaned away at the end because cargo compares dates, and our sources may well be older than it.
COPY .cargo ./.cargo
COPY Cargo.toml Cargo.lock build.rs ./
RUN mkdir -p src tests/it benches/performance \
    && echo 'fn main() {}' | tee src/main.rs tests/it/main.rs benches/order.rs benches/instructions.rs \
           benches/performance/main.rs > src/lib.rs \
    && cargo build --locked --release \
    && cargo clean --locked --release --package aqua-orders

# The list of the crates that are in the program; scanners of images find it by its name.
COPY scripts/ensure.sh scripts/sbom.sh ./scripts/
RUN scripts/sbom.sh

# build.rs looks at migrations/ and .sqlx/: the program has the one inside and checks its SQL against the other, so that
# no database is needed here. The mock's demo data is inside, too.
COPY config/default.toml ./config/default.toml
COPY config/demo ./config/demo
COPY migrations ./migrations
COPY .sqlx ./.sqlx
COPY askama.toml ./
COPY src ./src
# The example that the description of the call shows.
COPY tests/data ./tests/data
# What `--version` and aqua_build_info say; git is not in here.
ARG REVISION=unknown
RUN AQUA_REVISION="$REVISION" cargo build --locked --release

FROM docker.io/library/debian:bookworm-slim
# A fixed uid, so that rights on mounted files can be given by number. No home and no shell: nobody works in here.
RUN groupadd --gid 10001 aqua \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin aqua
WORKDIR /opt/aqua-orders
COPY --from=builder /build/target/release/aqua-orders /usr/local/bin/aqua-orders
COPY --from=builder /build/target/aqua-orders.cdx.json ./
COPY LICENSE-MIT LICENSE-APACHE ./
COPY config ./config
ARG REVISION=unknown
LABEL org.opencontainers.image.title="aqua-orders" \
      org.opencontainers.image.description="Order intake that speaks 1C's order-exchange protocol" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="$REVISION"
USER 10001:10001
# Time zones and the public certificate authorities are inside the program: tzdata and ca-certificates are not needed.
ENV AQUA_LISTEN=0.0.0.0:8888
EXPOSE 8888
# Tests the settings and the database; the exit code says it. A service that died ends the container by itself.
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s --retries=3 CMD ["aqua-orders", "check"]
ENTRYPOINT ["aqua-orders"]
CMD ["serve"]
