"""What the tests of outages share: a run with a proxy on each way, a part that goes away, and the truth in the end."""
import concurrent.futures
import hashlib
import os
import subprocess
import sys
import time
import unittest

from e2e import BUILD, ENDED, EndToEnd, image
from proxy import Proxy

OUTAGE_S = float(os.environ.get("FUOTAD_OUTAGE_S", "20"))
WORKERS = int(os.environ.get("FUOTAD_OUTAGE_WORKERS", "4"))
RATE = min(50.0, 1500.0 / OUTAGE_S)  # an outage is at most 1500 s of protocol time: the session has room for it
REAL = 50.0 / RATE  # how much longer a run takes than at rate 50
GROWTH_MAX = 20 << 20  # octets of memory that an outage may cost
SKIPPED = 77  # for ctest


def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def has_failpoints():
    with open(os.path.join(BUILD, "CMakeCache.txt")) as f:
        return "FUOTAD_FAILPOINTS:BOOL=ON\n" in f.read()


class Outage(EndToEnd):
    rate = RATE

    def setUp(self):
        super().setUp()
        # What is freed counts as memory of the daemon while the sanitizer keeps it.
        self.environment = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
        self.rig.mqtt_config = "keep_alive_s = 5;"
        self.rig.grpc_config = "deadline_ms = 2000;"
        # The longer a frame may wait at the network server, the later a busy machine may be.
        self.rig.extra_config = "network_server: { multicast_class_c_margin_ms = 10000; };"

    def proxy(self, name, target):
        proxy = Proxy(target)
        self.addCleanup(proxy.close)
        self.rig.via[name] = proxy.port
        return proxy

    def start_parts(self, devices):
        self.rig.start_postgres()
        self.rig.start_mosquitto()
        self.broker = self.proxy("mqtt", self.rig.mqtt_port)
        self.sim_broker = self.proxy("sim_mqtt", self.rig.mqtt_port)
        self.grpc = self.proxy("grpc", self.rig.grpc_port)
        self.database = self.proxy("postgres", self.rig.path("run/.s.PGSQL.5432"))
        self.rig.start_sim("--devices", str(devices), "--loss", "0.02", "--uplink-interval", "60", "--uplink-jitter", "15",
                           "--margin", "10", "--faults-file", self.rig.path("faults"))
        self.rig.start_fuotad(env=self.environment)

    # A run. At rate 50 the set-up of 20 devices takes about 15 s, the fragments 27 s: their session has 8192 s.

    def begin(self, is_reached, devices=20):
        self.start_parts(devices)
        options = {"--data-rate": "5", "--min-gap": "12000", "--unicast-attempts": "20", "--setup-deadline": "20000",
                   "--quorum": "100"}
        self.deployment = self.create(*[text for pair in options.items() for text in pair],
                                      image_id=self.add_image(image(21000)))
        self.rig.ctl("deployment", "start", self.deployment)
        self.wait_until(self.deployment, is_reached, 60 * REAL)
        self.fuotad = self.rig.processes["fuotad"]
        self.base = self.peak = rss(self.fuotad.pid)

    @staticmethod
    def setting_up(shown):
        return 3 <= shown["stages"].get("receiving", 0) <= 17

    @staticmethod
    def sending(shown):
        return (shown["fragments_sent"] or 0) >= 20

    def show(self, deployment):
        """By the API: a run of fuotactl for each look would be most of the work."""
        status, shown = self.rig.api("GET", "/api/v1/deployments/" + deployment)
        return shown if status == 200 else {"state": "?", "stages": {}, "fragments_sent": 0, "status": status}

    # While a part is away.

    def look(self):
        """The daemon lives, answers and stays small; what it waits for."""
        self.assertIsNone(self.fuotad.poll(), "fuotad ended")
        before = time.monotonic()
        health = self.rig.health()
        self.assertLess(time.monotonic() - before, 2.0)
        self.peak = max(self.peak, rss(self.fuotad.pid))
        self.assertLess(self.peak - self.base, GROWTH_MAX)
        return health["waiting_for"]

    def last(self, seconds, part=None, within_s=None):
        """An outage of that many seconds; `part` is named from `within_s` on, at least in the end."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            waiting = self.look()
            if within_s is not None and passed > within_s:
                self.assertIn(part, " ".join(waiting))
            time.sleep(0.25)
        if part is not None:
            self.assertIn(part, " ".join(self.look()))

    def wait_until_ok(self, limit_s=20.0):
        end = time.monotonic() + limit_s
        while self.look():
            self.assertLess(time.monotonic(), end, "it does not come back")
            time.sleep(0.1)

    def faults(self, text):
        self.rig.write("faults.new", f"faults = ({text});\n")
        os.rename(self.rig.path("faults.new"), self.rig.path("faults"))

    # The end.

    def assert_logged(self, *texts):
        with open(self.rig.log("fuotad"), errors="replace") as f:
            log = f.read()
        for text in texts:
            self.assertIn(text, log)

    def timeline(self, eui):
        return self.rig.sql("SELECT e.at_ms - t.started_ms AS ms, e.text FROM fuotad.event e JOIN fuotad.transmission t "
                            f"USING (deployment_id) WHERE dev_eui = '{eui}' OR dev_eui IS NULL ORDER BY id")

    def end(self, is_complete=True):
        """Waits for it; what is told is true, and all have the image unless something else was expected."""
        # Where the clock was wrong, a device may wait an hour for a session that the others have now.
        end = time.monotonic() + (150 if is_complete else 300) * REAL
        while (shown := self.show(self.deployment))["state"] not in ENDED:
            self.look()
            if time.monotonic() > end:
                open_ones = [eui for eui, d in self.devices_of(self.deployment).items() if d["stage"] not in ("delivered", "failed")]
                self.fail(f"not over: {shown}\n" + self.timeline(open_ones[0] if open_ones else "")[-6000:])
            time.sleep(0.2)
        told = self.devices_of(self.deployment)
        self.report = self.rig.report()
        sha256 = hashlib.sha256(self.data).hexdigest()
        holds = {d["dev_eui"]: d["sha256"] == sha256 for d in self.report["devices"]}
        for eui, device in told.items():
            if device["stage"] == "delivered":
                self.assertTrue(holds[eui], f"delivered, but it does not hold the image: {self.report}\n{self.timeline(eui)}")
            else:
                self.assertEqual(device["stage"], "failed", device)
                self.assertNotEqual(device["reason"], "none", device)
        if is_complete:
            failed = [eui for eui, device in told.items() if device["stage"] == "failed"]
            self.assertEqual((shown["state"], shown["stages"]), ("completed", {"delivered": len(told)}),
                             self.timeline(failed[0]) if failed else "")
        if self.rig.sql("SELECT max(repair_number) FROM fuotad.transmission") == "0":  # a further pass begins at 1 again
            self.assertEqual(self.report["fragments_seen"]["repeated_n"], 0)
        return shown


def run_one(name):
    done = subprocess.run([sys.executable, "-B", sys.argv[0], "-v", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    return done.returncode, done.stdout


def main():
    """Each test of the file in a process of its own, some at once: most of their time is waiting."""
    if len(sys.argv) > 2 or sys.argv[1:] not in ([], ["-v"]):
        unittest.main()
    tests = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    names = [test.id().removeprefix("__main__.") for suite in tests for test in suite]
    skipped = failed = 0
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for returncode, text in pool.map(run_one, names):
            print(text, flush=True)
            skipped += "OK (skipped=" in text
            failed += returncode != 0
    print(f"{len(names) - skipped - failed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else SKIPPED if skipped == len(names) else 0)
