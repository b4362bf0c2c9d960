"""The plan of a draft, the same list before the start, and what the run then takes."""
import time
import unittest

from e2e import EndToEnd, image
from uplink import publish_uplink

# Two devices hear the first gateway, three the second; the last one says nothing.
PLACES = """
gateways = 2;
groups = (
  { first = 0; count = 2; gateways = [0]; },
  { first = 2; count = 3; gateways = [1]; },
  { first = 5; count = 1; mute = true; }
);
"""


class Plan(EndToEnd):
    rate = 500.0

    def test_what_is_planned_is_what_it_takes(self):
        self.start_all("--devices", "200", "--uplink-interval", "300", "--loss", "0.1", "--gateways", "3",
                       "--heard-by", "1", "--kind", "letter")
        deployment = self.create("--data-rate", "5", "--loss", "0.1", image_id=self.add_image(image(40000)))
        plan = self.rig.ctl_json("plan", deployment)["plan"]
        self.assertEqual(self.show(deployment)["state"], "draft")
        self.assertEqual((plan["device_count"], plan["gateway_count"], plan["gap_ms"]), (200, 3, 15000))
        self.assertIn("ENOUGH FOR", self.rig.ctl("plan", deployment).stdout)
        self.rig.ctl("deployment", "start", deployment)
        ended = self.wait_for_end(deployment)
        self.assertEqual(ended["state"], "completed")
        self.assertEqual(ended["plan"], plan)
        self.assertAlmostEqual(ended["frames_sent"], plan["frames"], delta=0.05 * plan["frames"])

    def test_bare_parameters_are_planned_over_http(self):
        self.start_all("--devices", "1")
        status, plan = self.rig.api("POST", "/api/v1/plan", {"size": 100000, "region": "EU868", "data_rate": 5,
                                                             "device_count": 1000, "gateway_count": 3, "loss": 0.1})
        self.assertEqual((status, plan["fragment_count"], plan["gap_ms"]), (200, 419, 15000))
        offline = self.rig.ctl_json("plan", "--size", "100000", "--data-rate", "5", "--devices", "1000", "--gateways",
                                    "3", "--loss", "0.1", "--margin", str(plan["gap_ms"] // 3))
        self.assertEqual((plan["frames"], plan["rounds"]), (offline["frames"], offline["rounds"]))
        status, problem = self.rig.api("POST", "/api/v1/plan", {"size": 0, "devices_count": 1})
        self.assertEqual(status, 422)
        self.assertEqual({p["field"] for p in problem["errors"]}, {"size", "devices_count", "region"})

    def test_who_is_not_reached_is_named(self):
        self.rig.start_postgres()
        self.rig.start_mosquitto()
        self.rig.start_sim("--devices", "6", "--uplink-interval", "60", "--scenario", self.rig.write("places.conf", PLACES))
        self.rig.extra_config = f'observe: {{ applications = ["{self.rig.world["application_id"]}"]; }};'
        self.rig.start_fuotad()
        devices, gateways = self.rig.world["devices"], self.rig.world["gateways"]
        image_id = self.add_image(image(2000))
        near, anywhere = (self.create("--data-rate", "5", *options, image_id=image_id)
                          for options in (["--gateway", gateways[0]], []))
        end = time.monotonic() + 20
        expected = {"gateways": gateways[:1], "covered": 2, "not_covered": 3, "unknown": 1}
        while (plan := self.rig.ctl_json("plan", near)["plan"])["coverage"] != expected:
            self.assertLess(time.monotonic(), end, plan["coverage"])
            time.sleep(0.2)
        # Observed is not served: nobody answers AppTimeReq.
        publish_uplink(self.rig, devices[0], bytes([1, 0, 0, 0, 0, 0x10]), 202)
        time.sleep(0.5)
        self.assertEqual(self.rig.sql("SELECT count(*) FROM fuotad.clock_answer"), "0")
        told = [warning["detail"] for warning in plan["warnings"] if warning["field"] in ("gateways", "devices")]
        self.assertEqual(told, [f"devices that none of the group's 1 gateways hears: 3 ({', '.join(sorted(devices[2:5]))})",
                                f"devices that were not heard lately: 1 ({devices[5]})"])
        self.assertIn("only others hear 3", self.rig.ctl("plan", near).stdout)
        plan = self.rig.ctl_json("plan", anywhere)["plan"]
        self.assertEqual(plan["coverage"], {"gateways": [gateways[1], gateways[0]], "covered": 5, "not_covered": 0,
                                            "unknown": 1})
        self.assertIn(gateways[1], self.rig.ctl("device", "show", devices[3]).stdout)
        self.assertEqual([g["gateway_id"] for g in self.rig.ctl_json("device", "show", devices[3])["gateways"]], gateways[1:])
        # What is warned of keeps nothing from starting, and stands with the deployment.
        self.rig.ctl("deployment", "start", near)
        self.assertEqual(self.show(near)["problems"], self.show(near)["plan"]["warnings"])
        self.assertEqual(self.show(near)["plan"]["coverage"]["not_covered"], 3)

    def test_what_keeps_it_from_starting_comes_with_the_plan(self):
        self.start_all("--devices", "3")
        image_id = self.add_image(image(2000))
        deployment = self.create("--data-rate", "5", "--gateway", "0102030405060708", image_id=image_id)
        asked = self.rig.ctl("plan", deployment, check=False)
        self.assertEqual(asked.returncode, 1)
        self.assertIn("ENOUGH FOR", asked.stdout)
        self.assertIn("gateway 0102030405060708 is unknown", asked.stderr)
        self.assertEqual(self.show(deployment)["state"], "draft")
        # A wish of which no plan can be made.
        deployment = self.create("--data-rate", "14", image_id=image_id)
        asked = self.rig.ctl("plan", deployment, check=False)
        self.assertEqual(asked.returncode, 1)
        self.assertNotIn("ENOUGH FOR", asked.stdout)
        self.assertIn("no downlink data rate 14", asked.stderr)


if __name__ == "__main__":
    unittest.main()
