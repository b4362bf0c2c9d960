"""What the benches of the daemon share: a rig whose database is durable, deployments made in bulk, the load, the rows."""
import json
import os
import statistics
import subprocess
import sys
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from rig import Rig, RigError, die_with_parent, wait_for  # noqa: E402

BUILD = os.path.join(ROOT, "build-bench")
DURABLE = ("fsync=on", "full_page_writes=on", "synchronous_commit=on", "shared_buffers=256MB", "max_wal_size=4GB")
FAR_MS = 10 * 86400 * 1000  # nothing happens by itself before
TICKS = os.sysconf("SC_CLK_TCK")

VERSION_ANS = "AAMB"  # PackageVersionAns: fragmentation, version 1
STATUS_ANS = "AQUACgA="  # FragSessionStatusAns: 5 received, 10 missing
SETUP_ANS = "AgA="  # FragSessionSetupAns: session 0, no error
SENSOR_DATA = "AGcA3AFoVQ=="  # of an application, FPort 10


def row(case, value, unit, goal=None, better="higher"):
    print(json.dumps({"case": case, "value": value, "unit": unit, "goal": goal, "better": better}), flush=True)


def info(case, value, unit, better="lower"):
    row(case, value, unit, None, better)


def eui(number):
    return f"{number:016x}"


def fsync_ms(folder):
    """Milliseconds of one fdatasync() of 8 kB there, the median."""
    name = os.path.join(folder, "fsync")
    times = []
    fd = os.open(name, os.O_CREAT | os.O_WRONLY)
    for _ in range(200):
        os.pwrite(fd, b"x" * 8192, 0)
        begin = time.perf_counter()
        os.fdatasync(fd)
        times.append((time.perf_counter() - begin) * 1e3)
    os.close(fd)
    os.unlink(name)
    return statistics.median(times)


class Daemon(Rig):
    """fuotad with its database, its broker and the load. Deployments are written into the database, then fuotad starts."""

    def __init__(self, clock_rate=1.0):
        super().__init__(BUILD, clock_rate)
        self.made = 0

    def start_database(self):
        kind = subprocess.run(["stat", "-f", "-c", "%T", self.dir], stdout=subprocess.PIPE, text=True).stdout.strip()
        if kind == "tmpfs":
            raise RigError(f"{self.dir} is on tmpfs: a durable database cannot be measured there")
        self.start_postgres(*DURABLE)
        info("fsync of the database's disk", fsync_ms(self.dir), "ms")

    def start_parts(self, image_size=2000):
        """Everything but the load and fuotad; a deployment to copy from is in the database."""
        self.start_database()
        self.start_mosquitto()
        self.start_sim("--devices", "1", "--kind", "letter", "--uplink-interval", "0")
        self.start_fuotad()
        name = self.path("image.bin")
        with open(name, "wb") as f:
            f.write(os.urandom(image_size))
        image = self.ctl_json("image", "add", name, "--name", "bench", "--version", "1")["id"]
        self.application = self.world["application_id"]
        self.template = self.ctl_json("deployment", "create", "--image", image, "--application", self.application,
                                      "--devices-file", self.path("devices.txt"), "--data-rate", "5")["id"]
        self.ctl("deployment", "start", self.template)
        wait_for("the deployment", lambda: self.sql(
            f"SELECT state FROM transmission WHERE deployment_id = '{self.template}'") == "setup")
        self.stop("fuotad")
        self.stop("sim")
        self.sql(f"UPDATE deployment SET state = 'aborted' WHERE id = '{self.template}'")

    def make_deployment(self, device_count, first_eui, transmission, device, state="running", **params):
        """A deployment like the template; `transmission`, `device` and `params` say what differs. Returns its id."""
        self.made += 1
        new = str(uuid.UUID(int=(0xB << 60) << 64 | self.made))
        now = self.now_ms()
        params["device_count"] = device_count
        columns = {"deployment_id": new, "group_id": str(uuid.UUID(int=(0xA << 60) << 64 | self.made)), "has_group": True,
                   "started_ms": now, "session_time_ms": now + FAR_MS, "deadline_ms": now + FAR_MS, **transmission}
        names = ["lorawan_version", *device]
        values = ["0", *(str(v) if isinstance(v, int) else f"'{v}'" for v in device.values())]
        self.sql(f"""
BEGIN;
INSERT INTO deployment (id, name, state, image_id, application_id, wish, params, device_count, started_at, finished_at)
SELECT '{new}', 'bench', '{state}', image_id, application_id, wish,
       params || '{json.dumps({name: str(value) for name, value in params.items()})}', {device_count}, now(), now()
FROM deployment WHERE id = '{self.template}';
INSERT INTO transmission SELECT (jsonb_populate_record(t, '{json.dumps(columns)}')).* FROM transmission t
WHERE deployment_id = '{self.template}';
INSERT INTO deployment_device (deployment_id, device_index, dev_eui, {", ".join(names)})
SELECT '{new}', i, lpad(to_hex({first_eui} + i), 16, '0'), {", ".join(values)} FROM generate_series(0, {device_count - 1}) i;
COMMIT""")
        return new

    def now_ms(self):
        """Protocol time."""
        return int(self.clock_epoch_ms + self.clock_rate * (time.time() * 1000 - self.clock_epoch_ms))

    def make_past(self, device_count):
        """So many records of devices of deployments that are over."""
        for first in range(0, device_count, 100000):
            self.make_deployment(min(100000, device_count - first), (0xC << 56) + first, {"state": "done"},
                                 {"stage": "delivered"}, "completed")

    def waiting_devices(self, first_eui, count):
        """A deployment in set-up whose devices have been asked for their version and go on when they answer."""
        return self.make_deployment(count, first_eui, {"state": "setup"}, {
            "stage": "version", "call": 4, "command": 1, "sent_count": 1, "deadline_ms": self.now_ms() + FAR_MS})

    def start_load(self):
        log = open(self.path("load.log"), "ab")
        self.load = subprocess.Popen([os.path.join(BUILD, "tests/bench/bench_load"), str(self.grpc_port), str(self.mqtt_port)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                                     preexec_fn=die_with_parent)
        self.processes["load"] = self.load
        self.load.stdout.readline()

    def start_daemon(self):
        """Returns the seconds from its start until everything is loaded."""
        running = int(self.sql("SELECT count(*) FROM deployment WHERE state = 'running'"))
        self.sql("VACUUM (ANALYZE)")
        self.sql("CHECKPOINT")
        if os.path.exists(self.log("fuotad")):
            os.unlink(self.log("fuotad"))
        begin = time.perf_counter()
        process = self.start_fuotad(wait=False)

        def is_loaded():
            with open(self.log("fuotad"), errors="replace") as f:
                return f.read().count("deployment: goes on") == running
        wait_for("fuotad", is_loaded, 60, process, self.log("fuotad"))
        seconds = time.perf_counter() - begin
        wait_for("fuotad", self.is_healthy, process=process, log=self.log("fuotad"))
        return seconds

    def order(self, command, *words):
        self.load.stdin.write(" ".join([command, *map(str, words)]) + "\n")
        self.load.stdin.flush()
        answer = self.load.stdout.readline()
        if not answer:
            with open(self.path("load.log")) as f:
                raise RigError("the load ended:\n" + f.read())
        return json.loads(answer)

    def calls(self):
        return self.order("calls")

    def publish(self, first_eui, devices, count, f_port, data, rate=0, command="publish"):
        return self.order(command, self.application, eui(first_eui), devices, count, rate, f_port, data)

    def cpu_s(self, name):
        """Seconds of processor time that it and what it started have used."""
        total, pids = 0, [self.processes[name].pid]
        while pids:
            pid = pids.pop()
            try:
                with open(f"/proc/{pid}/stat") as f:
                    fields = f.read().rpartition(")")[2].split()
                with open(f"/proc/{pid}/task/{pid}/children") as f:
                    pids += map(int, f.read().split())
            except FileNotFoundError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def resident_kib(self, name="fuotad"):
        with open(f"/proc/{self.processes[name].pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))

    def resident_peak_kib(self, name="fuotad"):
        with open(f"/proc/{self.processes[name].pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))

    def timed_run(self, sentinel_eui, *run):
        """Publishes a run, then the answer of one waiting device, and waits for the call that follows from it: fuotad takes
        events in their order and calls after the commit, so everything before is committed, too. Returns seconds, and
        the processor time of each part."""
        parts = ["fuotad", "mosquitto", "postgres", "load"]
        self.calls()
        before = {name: self.cpu_s(name) for name in parts}
        begun = self.publish(*run)["started_us"]
        self.publish(sentinel_eui, 1, 1, 201, VERSION_ANS)
        end = time.monotonic() + 120
        keys, commands, call_us = 0, 0, None
        while keys == 0 or commands == 0:
            if time.monotonic() > end:
                raise RigError("the last answer caused no call")
            time.sleep(0.02)
            calls = self.calls()
            keys, commands = keys + calls["keys"], commands + calls["commands"]
            call_us = call_us or calls["keys_us"]
        cpu = {name: self.cpu_s(name) - before[name] for name in parts}
        return (call_us - begun) / 1e6, cpu


def shares(case, cpu, count):
    """What an event costs each part."""
    for name, seconds in cpu.items():
        info(f"{case}: processor time of {name}", seconds / count * 1e6, "us each")
