"""What the end-to-end tests share."""
import os
import sys
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from rig import Rig  # noqa: E402

BUILD = os.path.abspath(os.environ.get("FUOTAD_BUILD", os.path.join(ROOT, "build")))
ENDED = ("completed", "partial", "failed", "aborted")


def image(size=20000, seed=7):
    """Octets that repeat from run to run and look random."""
    state, out = seed, bytearray()
    while len(out) < size:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out += (state >> 33).to_bytes(4, "little")
    return bytes(out[:size])


class EndToEnd(unittest.TestCase):
    rate = 150.0

    def setUp(self):
        self.rig = Rig(BUILD, self.rate)
        self.addCleanup(self.rig.close)
        self.addCleanup(self.check_fuotad_log)

    def check_fuotad_log(self):
        for log in [self.rig.log(name) for name in self.rig.http_ports]:
            if os.path.exists(log):
                with open(log, errors="replace") as f:
                    text = f.read()
                for trouble in ["AddressSanitizer", "runtime error:", "LeakSanitizer", "ThreadSanitizer", "Assertion"]:
                    self.assertNotIn(trouble, text)

    def start_all(self, *sim_options):
        self.rig.start_postgres()
        self.rig.start_mosquitto()
        self.rig.start_sim(*sim_options)
        self.rig.start_fuotad()

    def add_image(self, data=None, version="1.0.0"):
        self.data = image() if data is None else data
        name = self.rig.path("image-" + version)
        with open(name, "wb") as f:
            f.write(self.data)
        return self.rig.ctl_json("image", "add", name, "--name", "e2e", "--version", version)["id"]

    def create(self, *options, image_id=None):
        image_id = self.add_image() if image_id is None else image_id
        return self.rig.ctl_json("deployment", "create", "--image", image_id, "--application",
                                 self.rig.world["application_id"], "--devices-file", self.rig.path("devices.txt"),
                                 *options)["id"]

    def show(self, deployment):
        return self.rig.ctl_json("deployment", "show", deployment)

    def wait_until(self, deployment, is_there, limit_s=90):
        end = time.monotonic() + limit_s
        while True:
            shown = self.show(deployment)
            if is_there(shown):
                return shown
            if shown["state"] in ENDED or time.monotonic() > end:
                self.fail(f"did not come: {shown}\n" + open(self.rig.log("fuotad")).read()[-3000:])
            time.sleep(0.05)

    def wait_for_end(self, deployment, limit_s=200):
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            shown = self.show(deployment)
            if shown["state"] in ENDED:
                return shown
            time.sleep(0.1)
        self.fail(f"not over: {self.show(deployment)}\n" + open(self.rig.log("fuotad")).read()[-3000:])

    def devices_of(self, deployment):
        return {d["dev_eui"]: d for d in self.rig.ctl_json("deployment", "devices", deployment)["devices"]}
