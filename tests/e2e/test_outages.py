"""The broker and the database are restarted while devices are set up and fragments flow: the run ends the same."""
import hashlib
import signal
import time
import unittest

from e2e import EndToEnd, image


class Outages(EndToEnd):
    rate = 100.0

    def test_broker_and_database_restart_in_the_middle(self):
        self.start_all("--devices", "20", "--loss", "0.05", "--uplink-interval", "60", "--uplink-jitter", "15")
        deployment = self.create("--data-rate", "5", image_id=self.add_image(image(40000)))
        self.rig.ctl("deployment", "start", deployment)
        self.wait_until(deployment, lambda shown: shown["stages"].get("receiving", 0) >= 8)
        self.rig.stop("mosquitto")
        time.sleep(1.0)
        self.assertTrue(any("broker" in text for text in self.rig.health()["waiting_for"]))
        self.rig.start_mosquitto()
        self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= 30)
        self.rig.stop("postgres", signal.SIGINT)
        time.sleep(1.5)
        self.assertTrue(any("database" in text for text in self.rig.health()["waiting_for"]))
        self.rig.run_postgres()
        time.sleep(1.0)
        shown = self.wait_for_end(deployment)
        self.assertEqual((shown["state"], shown["stages"]), ("completed", {"delivered": 20}))
        report = self.rig.report()
        self.assertEqual({d["sha256"] for d in report["devices"]}, {hashlib.sha256(self.data).hexdigest()})
        self.assertEqual(report["fragments_seen"]["repeated_n"], 0)


if __name__ == "__main__":
    unittest.main()
