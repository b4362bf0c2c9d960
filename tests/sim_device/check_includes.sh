#!/bin/sh
# Fails when the simulator includes anything of the daemon's own code beyond base/.
set -u
cd "$1" || exit 2
[ -n "$(find src/sim/ include/sim/ -name '*.[ch]' | head -n 1)" ] || { echo "no sources found"; exit 2; }
if grep -rnE '#[[:space:]]*include[[:space:]]*"(\.\./)*((src|include)/)?(lorawan|fec|deployment|network|store|http|daemon|ctl)/' \
    src/sim/ include/sim/ --include='*.[ch]'; then
    echo "the simulator must not include the daemon's modules"
    exit 1
fi
# The device library is driven by tests as well: no loop, no network, no wire formats of the server.
files="src/sim/device*.c src/sim/frag_decoder.c src/sim/stacks.c include/sim/device.h include/sim/device_packages.h
       include/sim/frag_decoder.h include/sim/stacks.h"
for file in $files; do
    [ "$file" = src/sim/device_queue.c ] && continue # of the network server
    if grep -nE 'uv\.h|mosquitto|nghttp2|pb-c\.h|"sim/(network|world|mqtt|grpc_server|services|options)\.h"' "$file"; then
        echo "$file belongs to the device library and must not depend on the server side"
        exit 1
    fi
done
