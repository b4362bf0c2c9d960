"""A device that floods the broker with 10,000 uplinks a second: it is not heard beyond its share, and nobody else waits."""
import hashlib
import socket
import sys
import threading
import time
import unittest

from e2e import EndToEnd, image
from publish import packet, read, text
from uplink import uplink

PER_SECOND = 10000
PER_MINUTE_MAX = 60  # of its own time, which stands still here: src/daemon/engine.c


class Flood(threading.Thread):
    """One uplink, again and again, QoS 1, at the given pace until it is told to stop."""

    def __init__(self, port, topic, payload):
        super().__init__(daemon=True)
        self.port, self.is_over, self.count = port, threading.Event(), 0
        self.batch = b"".join(packet(0x32, text(topic) + i.to_bytes(2, "big") + payload) for i in range(1, 101))
        self.start()

    def run(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as s:
            s.sendall(packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x1e" + text(b"flood")))
            assert read(s, 4)[3] == 0
            begin = time.monotonic()
            while not self.is_over.is_set():
                s.sendall(self.batch)
                read(s, 100 * 4)  # their acknowledgements
                self.count += 100
                time.sleep(max(0.0, begin + self.count / PER_SECOND - time.monotonic()))
            self.seconds = time.monotonic() - begin


class OneDeviceFloods(EndToEnd):
    rate = 100.0

    def test_nobody_else_waits(self):
        self.start_all("--devices", "12", "--uplink-interval", "60", "--uplink-jitter", "15")
        image_id = self.add_image(image(30000))
        devices = self.rig.world["devices"]
        self.rig.write("devices.txt", "".join(eui + "\n" for eui in devices[:2]))
        flooded = self.create("--data-rate", "5", image_id=image_id)
        self.rig.write("devices.txt", "".join(eui + "\n" for eui in devices[2:]))
        other = self.create("--data-rate", "5", image_id=image_id)
        topic, payload = uplink(self.rig, devices[0], b"\xff", 200)
        flood = Flood(self.rig.mqtt_port, topic.encode(), payload)
        for deployment in (flooded, other):
            self.rig.ctl("deployment", "start", deployment)
        shown = self.wait_for_end(other)
        heard = int(self.rig.sql(f"SELECT count(*) FROM fuotad.event WHERE kind = 'bad_answer' AND dev_eui = '{devices[0]}'"))
        flood.is_over.set()
        flood.join()
        self.assertEqual((shown["state"], shown["stages"]), ("completed", {"delivered": 10}))
        self.assertGreater(flood.count, 10 * PER_MINUTE_MAX, "the flood did not flow")
        self.assertLessEqual(heard, PER_MINUTE_MAX)
        print(f"{flood.count / flood.seconds:.0f} uplinks a second", file=sys.stderr)
        with open(self.rig.log("fuotad")) as f:
            self.assertIn(f"more than {PER_MINUTE_MAX} uplinks in a minute", f.read())
        # The device itself is still served: what floods is not all that it says.
        self.wait_for_end(flooded)
        report = self.rig.report()
        self.assertTrue({d["sha256"] for d in report["devices"][2:]} == {hashlib.sha256(self.data).hexdigest()})


if __name__ == "__main__":
    unittest.main()
