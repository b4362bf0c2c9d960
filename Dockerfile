# fuotad and fuotactl. See docs/operations.md, "Container".
#   docker build -t fuotad .
#   docker run -v /etc/fuotad:/etc/fuotad:ro -v fuotad-state:/var/lib/fuotad --network host fuotad

FROM debian:12-slim AS build
WORKDIR /source
COPY scripts/setup scripts/build scripts/
RUN scripts/setup
COPY CMakeLists.txt ./
COPY cmake cmake
COPY proto proto
COPY migrations migrations
COPY include include
COPY src src
RUN FUOTAD_BUILD=/build scripts/build -DCMAKE_BUILD_TYPE=Release -DFUOTAD_TESTS=OFF

FROM debian:12-slim
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    ca-certificates libcjson1 libconfig9 libcurl4 libmicrohttpd12 libmosquitto1 libnghttp2-14 libpq5 libprotobuf-c1 \
    libssl3 libuv1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin fuotad \
 && install -d -o fuotad -g fuotad -m 0700 /var/lib/fuotad
COPY --from=build /build/src/daemon/fuotad /build/src/ctl/fuotactl /usr/local/bin/
COPY config/fuotad.conf /usr/local/share/fuotad/fuotad.conf
USER fuotad
VOLUME /var/lib/fuotad
EXPOSE 8090
ENTRYPOINT ["/usr/local/bin/fuotad"]
CMD ["--config", "/etc/fuotad/fuotad.conf"]
