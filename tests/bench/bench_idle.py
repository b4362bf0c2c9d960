#!/usr/bin/env python3
"""What fuotad costs when nothing happens, and how long it takes to start."""
import time

from daemon import Daemon, info, row

IDLE_S = 10
DEPLOYMENTS, DEVICES = 100, 1000


def idle(d, case, has_goal):
    before = d.cpu_s("fuotad")
    time.sleep(IDLE_S)
    row(f"{case}: processor", (d.cpu_s("fuotad") - before) / IDLE_S * 100, "% of a core", 1 if has_goal else None, "lower")
    row(f"{case}: resident memory", d.resident_kib() / 1024, "MiB", 20 if has_goal else None, "lower")


def start(d, deployments, devices):
    for n in range(deployments):
        d.waiting_devices((0x71 << 56) + (n << 32), devices)


def load_one(device_count):
    """MiB with one deployment of so many devices."""
    with Daemon() as d:
        d.start_parts()
        start(d, 1, device_count)
        d.start_load()
        info(f"start with 1 deployment of {device_count:,} devices", d.start_daemon(), "s")
        time.sleep(1)
        info(f"resident memory with {device_count:,} devices", d.resident_kib() / 1024, "MiB")
        info(f"largest resident memory with {device_count:,} devices", d.resident_peak_kib() / 1024, "MiB")
        return d.resident_kib()


with Daemon() as daemon:
    daemon.start_parts()
    daemon.start_load()
    daemon.start_daemon()
    idle(daemon, "no deployment", True)
    daemon.stop("fuotad")
    start(daemon, DEPLOYMENTS, DEVICES)
    row(f"start with {DEPLOYMENTS} deployments of {DEVICES:,} devices", daemon.start_daemon(), "s", 2, "lower")
    idle(daemon, f"{DEPLOYMENTS} deployments", False)
few, many = load_one(10000), load_one(100000)
row("slope of resident memory", (many - few) * 1024 / 90000, "octets a device", 300, "lower")
