"""Airtime: deployments that share gateways take turns, and no gateway refuses for its duty cycle."""
import unittest

from e2e import EndToEnd, image

HOUR_MS = 3600000


class Airtime(EndToEnd):
    rate = 300.0

    def test_two_deployments_share_a_gateway(self):
        self.start_all("--devices", "12", "--uplink-interval", "300", "--loss", "0.05", "--gateways", "1",
                       "--kind", "letter", "--gateway-duty-cycle", "0.1")
        image_id = self.add_image(image(28000))
        devices = self.rig.world["devices"]
        euis = [d["dev_eui"] if isinstance(d, dict) else d for d in devices]
        deployments = []
        for part in (euis[:6], euis[6:]):
            deployments.append(self.rig.ctl_json(
                "deployment", "create", "--image", image_id, "--application", self.rig.world["application_id"],
                "--data-rate", "3", "--gateway", self.rig.world["gateways"][0], "--device", *part)["id"])
        self.assertEqual(self.rig.ctl_json("plan", deployments[1])["plan"]["sharing"], [])
        self.rig.ctl("deployment", "start", deployments[0])
        # The plan of the second one knows of the first.
        plan = self.rig.ctl_json("plan", deployments[1])["plan"]
        self.assertEqual(plan["sharing"], [{"deployment_id": deployments[0], "name": self.show(deployments[0])["name"],
                                            "gateways": self.rig.world["gateways"]}])
        self.assertEqual([w["detail"][-37:] for w in plan["warnings"] if w["field"] == "gateways"],
                         ["it takes 2.00 times as long as planned"[-37:]])
        self.assertIn("they take turns", self.rig.ctl("plan", deployments[1]).stdout)
        self.rig.ctl("deployment", "start", deployments[1])
        ended = [self.wait_for_end(d) for d in deployments]
        self.assertEqual({e["state"] for e in ended}, {"completed"})
        gateways = self.rig.report()["gateways"]
        self.assertEqual([g["multicast_refused"] for g in gateways], [0])
        # Alone, each would have used 8 %.
        for gateway in gateways:
            self.assertLessEqual(gateway["max_hour_airtime_ms"], 0.1 * HOUR_MS)
            self.assertGreater(gateway["max_hour_airtime_ms"], 0.06 * HOUR_MS)
        # The ledger has booked every frame; a turn that came too late for this clock rate is booked twice.
        ledger = self.rig.ctl_json("airtime")["gateways"]
        self.assertEqual({g["band"] for g in ledger}, {"869400-869650"})
        frames = sum(e["frames_sent"] for e in ended)
        airtime_ms = ended[0]["plan"]["frame_airtime_ms"]
        for gateway in ledger:
            self.assertAlmostEqual(gateway["day_airtime_ms"], frames * airtime_ms, delta=0.05 * frames * airtime_ms)
        self.assertIn("869400-869650", self.rig.ctl("airtime").stdout)

    def test_the_law_is_overridden_only_in_words(self):
        self.start_all("--devices", "1", "--uplink-interval", "60")
        image_id = self.add_image(image(300))
        deployment = self.create("--data-rate", "5", "--duty-cycle", "0.5", image_id=image_id)
        refused = self.rig.ctl("deployment", "start", deployment, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("EU868 allows 0.1", refused.stderr)
        deployment = self.create("--data-rate", "5", "--duty-cycle", "0.5", "--override-duty-cycle", image_id=image_id)
        self.assertIn("overridden", self.rig.ctl("deployment", "start", deployment).stderr)
        ended = self.wait_for_end(deployment)
        self.assertEqual(ended["state"], "completed")
        self.assertEqual([w["field"] for w in ended["problems"] if w["field"] == "duty_cycle"], ["duty_cycle"])


if __name__ == "__main__":
    unittest.main()
