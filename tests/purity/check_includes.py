"""Who may include whom: every #include of src/ and include/ names a folder that its module may use."""
import os
import re
import sys

# module -> project modules it may include from (itself always)
MAY = {
    "base": set(),
    "lorawan": {"base"},
    "fec": {"base"},
    "deployment": {"base", "lorawan", "fec"},
    "network": {"base", "lorawan"},
    "wish": {"base", "lorawan", "fec", "deployment", "network"},
    "store": {"base", "lorawan", "deployment"},
    "http": {"base"},
    "daemon": {"base", "lorawan", "fec", "deployment", "network", "wish", "store", "http"},
    "ctl": {"base", "lorawan", "fec", "deployment", "wish"},
    "sim": {"base"},
}
# what a pure module may take from outside
PURE = {"base", "lorawan", "fec", "deployment"}
PURE_SYSTEM = {"assert.h", "limits.h", "math.h", "stdbool.h", "stddef.h", "stdint.h", "string.h", "float.h"}
# the one library of each wrapper; by file, so that no type of it spreads
LIBRARIES = {
    "libpq-fe.h": {"store"}, "mosquitto.h": {"network", "sim"}, "mqtt_protocol.h": {"network", "sim"},
    "nghttp2/nghttp2.h": {"network", "sim"}, "microhttpd.h": {"http"}, "libconfig.h": {"daemon", "sim"},
    "curl/curl.h": {"ctl"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def check(path, module, errors):
    with open(path) as f:
        for number, line in enumerate(f, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            kind, name = match.groups()
            where = f"{path}:{number}"
            folder = name.split("/")[0]
            if kind == '"' and folder in MAY and "/" in name:
                if folder != module and folder not in MAY[module]:
                    errors.append(f"{where}: {module} must not include {name}")
            elif kind == "<":
                if module in PURE and name not in PURE_SYSTEM and not (
                        path.endswith("lorawan/keys.c") and name.startswith("openssl/")) and not (
                        path.endswith(("encoder_avx2.c", "encoder_avx512.c", "encoder_neon.c"))):
                    errors.append(f"{where}: the pure module {module} must not include <{name}>")
                if name in LIBRARIES and module not in LIBRARIES[name]:
                    errors.append(f"{where}: <{name}> belongs to {', '.join(sorted(LIBRARIES[name]))}")
                if path.startswith("include/") and name in LIBRARIES:
                    errors.append(f"{where}: no type of a wrapped library may show in a header")


def main():
    os.chdir(sys.argv[1])
    errors, files = [], 0
    for top in ["src", "include"]:
        for folder, _, names in os.walk(top):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    check(os.path.join(folder, name), folder.split("/")[1], errors)
                    files += 1
    print("\n".join(errors))
    print(f"{files} files, {len(errors)} errors")
    return 1 if errors or files < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
