#!/usr/bin/env python3
"""gcc -fanalyzer over our own sources, with the commands of build/compile_commands.json; silent when it finds nothing."""
import concurrent.futures
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Here gcc 12 takes for a leak what is stored in an object of the caller, in an element of an array, or in the loop's
# keeping until a callback comes. LeakSanitizer and valgrind watch for leaks; all other checks stay on.
KEPT_ELSEWHERE = {
    "src/ctl/output.c", "src/daemon/config.c", "src/daemon/engine.c", "src/http/server.c",
    "src/network/chirpstack/chirpstack.c", "src/network/chirpstack/grpc.c", "src/network/chirpstack/lists.c",
    "src/network/chirpstack/mqtt.c", "src/network/chirpstack/request.c", "src/sim/frag_decoder.c", "src/sim/grpc_server.c",
    "src/sim/mqtt.c", "src/sim/multicast_queue.c", "src/store/pg.c", "src/store/pg_batch.c",
}


def analyse(entry):
    name = os.path.relpath(entry["file"], ROOT)
    options = ["-fanalyzer", "-o", os.devnull]
    if name in KEPT_ELSEWHERE:
        options += ["-Wno-analyzer-malloc-leak", "-Wno-analyzer-file-leak"]
    command = entry["command"].split(" -o ")[0].split() + options + ["-c", entry["file"]]
    command = [word.replace('\\"', '"') for word in command]
    done = subprocess.run(command, cwd=entry["directory"], stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


def main():
    with open(os.path.join(ROOT, "build", "compile_commands.json")) as f:
        entries = [e for e in json.load(f) if e["file"].startswith(os.path.join(ROOT, "src") + "/")]
    unknown = KEPT_ELSEWHERE - {os.path.relpath(e["file"], ROOT) for e in entries}
    if unknown:
        sys.exit(f"scripts/analyse_gcc.py names files that are not built: {', '.join(sorted(unknown))}")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for status, text in pool.map(analyse, entries):
            sys.stderr.write(text)
            failed += status != 0
    sys.exit(1 if failed else 0)


main()
