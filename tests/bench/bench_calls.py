#!/usr/bin/env python3
"""Calls of the whole daemon with its commits: commands to devices, and frames of many groups. Calls alone: group `grpc`."""
import time

from daemon import FAR_MS, Daemon, info, shares

DEPLOYMENTS, DEVICES = 10, 5000
GROUPS = 1000
FRAMES = 50000
PARTS = ["fuotad", "postgres", "load"]
LIMIT_S = 60


def count(d, kind, wanted):
    """Waits for so many calls; returns how many came, seconds from the first to the last, and what they cost."""
    total, first, last, end = 0, None, None, time.monotonic() + LIMIT_S
    cpu = {name: d.cpu_s(name) for name in PARTS}
    while total < wanted:
        time.sleep(0.1)
        calls = d.calls()
        total += calls[kind]
        if calls[kind]:
            first, last = first or calls["first_us"], calls["last_us"]
        if time.monotonic() > end:
            raise SystemExit(f"only {total} calls came")
    return total, (last - first) / 1e6, {name: d.cpu_s(name) - cpu[name] for name in PARTS}


def measure(case, d, kind, wanted):
    d.start_load()
    d.start_daemon()
    total, seconds, cpu = count(d, kind, wanted)
    info(case, total / seconds, "a second", "higher")
    shares(case, cpu, total)


def commands():
    """All devices are to be told of the fragmentation session at the same time."""
    with Daemon() as d:
        d.start_parts()
        for n in range(DEPLOYMENTS):
            d.make_deployment(DEVICES, (0x71 << 56) + n * 100000, {"state": "setup"},
                              {"stage": "fragmentation", "flags": 9, "deadline_ms": d.now_ms() + 8000})
        measure(f"commands to {DEPLOYMENTS * DEVICES:,} devices, with their commits", d, "commands", DEPLOYMENTS * DEVICES)


def frames():
    """Each group has one frame under way; the clock runs so fast that the next one is always due."""
    with Daemon(1000.0) as d:
        d.start_parts(image_size=300000)
        for n in range(GROUPS):
            d.make_deployment(1, (0x71 << 56) + n, {"state": "transmit", "has_gateways": True, "deadline_ms": 0},
                              {"stage": "receiving", "flags": 15, "deadline_ms": d.now_ms() + FAR_MS}, time_out=15)
        d.sql(f"UPDATE transmission SET session_time_ms = {d.now_ms()} WHERE state = 'transmit'")
        measure(f"frames of {GROUPS:,} groups, with their commits", d, "frames", FRAMES)


commands()
frames()
