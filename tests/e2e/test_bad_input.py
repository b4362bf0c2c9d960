"""Bad input gets a clear error that names the field and the limit, changes nothing and loses nothing."""
import subprocess
import os
import tempfile
import time
import unittest

from e2e import BUILD, EndToEnd, image
from rig import wait_for

UNKNOWN = "00000000-0000-4000-8000-000000000000"


class BadInput(EndToEnd):
    def problem(self, answer, status, field, *words):
        code, body = answer
        self.assertEqual(code, status, body)
        self.assertEqual(body.get("field"), field, body)
        for word in words:
            self.assertIn(word, body["detail"])
        self.assertEqual(body["status"], status)

    def post(self, body):
        return self.rig.api("POST", "/api/v1/deployments", body)

    def draft(self, **changes):
        body = {"image_id": self.image_id, "application_id": self.rig.world["application_id"],
                "devices": self.rig.world["devices"]}
        body.update(changes)
        return {name: value for name, value in body.items() if value is not None}

    def start_problems(self, **changes):
        """The problems of a deployment that the preflight must refuse."""
        code, body = self.post(self.draft(**changes))
        self.assertEqual(code, 201, body)
        refused = self.rig.ctl("deployment", "start", body["id"], check=False)
        self.assertNotEqual(refused.returncode, 0, changes)
        shown = self.show(body["id"])
        self.assertEqual(shown["state"], "draft")
        return shown["problems"], refused.stderr + refused.stdout

    def test_the_api(self):
        self.start_all("--devices", "3", "--uplink-interval", "60")
        api = self.rig.api
        octets = {"Content-Type": "application/octet-stream"}
        # images
        self.problem(api("POST", "/api/v1/images?name=a&version=1", b"", headers=octets), 422, "image", "empty")
        self.problem(api("POST", "/api/v1/images?version=1", b"x", headers=octets), 422, "name", "1 to 200")
        self.problem(api("POST", "/api/v1/images?name=a&version=1&sha256=00", b"x", headers=octets), 422, "sha256")
        self.assertEqual(api("POST", "/api/v1/images?name=a&version=1", b"x" * (17 << 20), headers=octets)[0], 413)
        self.assertEqual(api("POST", "/api/v1/images?name=a&version=1", b"x")[0], 415)
        self.image_id = self.add_image()
        code, _ = api("POST", "/api/v1/images?name=e2e&version=1.0.0", b"x", headers=octets)
        self.assertEqual(code, 409)
        # tokens
        self.assertEqual(api("GET", "/api/v1/images", token="00" * 32)[0], 401)
        self.assertEqual(api("GET", "/api/v1/images", token="nonsense")[0], 401)
        # deployments
        self.assertEqual(self.post(b"{broken")[0], 400)
        self.assertEqual(self.post([])[0], 400)
        self.problem(self.post(self.draft(image_id="x")), 422, "image_id", "UUID")
        self.problem(self.post(self.draft(image_id=UNKNOWN)), 422, "image_id")
        self.problem(self.post(self.draft(application_id="x")), 422, "application_id", "UUID")
        self.problem(self.post(self.draft(devices=["12"])), 422, "devices", "16 hexadecimal")
        self.problem(self.post(self.draft(devices=[])), 422, "devices", "empty")
        twice = [self.rig.world["devices"][0].upper(), self.rig.world["devices"][0]]
        self.problem(self.post(self.draft(devices=twice)), 422, "devices", "twice")
        self.problem(self.post(self.draft(all=True)), 422, "devices", "exactly one")
        self.problem(self.post(self.draft(devices=None, tags={"a": 1})), 422, "tags")
        self.problem(self.post(self.draft(region="EU123")), 422, "region", "EU868")
        self.problem(self.post(self.draft(data_rate=16)), 422, "data_rate", "0 to 15")
        self.problem(self.post(self.draft(fragment_size=240)), 422, "fragment_size", "239")
        self.problem(self.post(self.draft(redundancy=-1)), 422, "redundancy")
        self.problem(self.post(self.draft(descriptor="123")), 422, "descriptor", "8 hexadecimal")
        self.problem(self.post(self.draft(gateways=["1"])), 422, "gateways")
        self.problem(self.post({**self.draft(), "class": "B"}), 422, "class", "class B")
        self.problem(self.post(self.draft(nonsense=1)), 422, "nonsense", "no such member")
        for name in ("name", "start", "tags", "gateways", "min_gap_ms", "quorum_percent", "descriptor"):
            for odd in ({}, {"x": []}, [[]], 1e308, "x" * 5000, True):
                code, body = self.post(self.draft(**{name: odd}))
                self.assertIn(code, (201, 422), (name, odd, body))
        # all of them wrong: all listed at once
        code, body = self.post(self.draft(region="X", data_rate=99, descriptor="z"))
        self.assertEqual([e["field"] for e in body["errors"]], ["region", "data_rate", "descriptor"])
        # nothing that does not exist
        for method, path in [("GET", "/api/v1/images/" + UNKNOWN), ("GET", "/api/v1/deployments/x"),
                             ("GET", "/api/v1/requests/" + UNKNOWN), ("DELETE", "/api/v1/images/" + UNKNOWN),
                             ("GET", "/api/v1/devices/0123456789abcdef"), ("GET", "/api/v1/nothing")]:
            self.assertEqual(api(method, path)[0], 404, path)
        self.assertEqual(api("PUT", "/api/v1/images")[0], 405)
        self.assertIn(api("POST", f"/api/v1/deployments/{UNKNOWN}/start")[0], (404, 409))
        self.assertEqual(self.rig.health()["status"], "ok")

    def test_the_preflight_lists_everything_at_once_before_anything_is_sent(self):
        self.start_all("--devices", "4", "--uplink-interval", "60")
        self.image_id = self.add_image(image(19950))  # 192 fragments of 104 octets: a bad count
        unknown = "00000000000000aa"
        problems, said = self.start_problems(devices=self.rig.world["devices"] + [unknown],
                                             gateways=["00000000000000bb"], data_rate=14)
        self.assertEqual({(p["field"], p.get("dev_eui")) for p in problems},
                         {("devices", unknown), ("gateways", None)})
        self.assertIn(unknown, said)
        for changes, field, word in [
                ({"data_rate": 14}, "data_rate", "no downlink data rate 14"),
                ({"data_rate": 0, "fragment_size": 100}, "fragment_size", "at most 48"),
                ({"frequency_hz": 915000000}, "frequency_hz", "863000000"),
                ({"fragment_size": 1}, "fragment_size", "16383"),
                ({"fragment_size": 104}, "fragment_size", "defective"),
                ({"redundancy": 10000}, "redundancy", "16383"),
                ({"application_id": UNKNOWN}, "devices", "another application")]:
            problems, _ = self.start_problems(**changes)
            self.assertEqual(problems[0]["field"], field, (changes, problems))
            self.assertIn(word, problems[0]["detail"], changes)
        # a second deployment on the same devices
        code, first = self.post(self.draft(data_rate=5))
        self.rig.ctl("deployment", "start", first["id"])
        problems, _ = self.start_problems(data_rate=5)
        self.assertEqual({p["dev_eui"] for p in problems}, set(self.rig.world["devices"]))
        self.assertIn("running deployment", problems[0]["detail"])
        self.assertEqual(self.rig.api("DELETE", "/api/v1/deployments/" + first["id"])[0], 409)
        self.assertEqual(self.rig.api("DELETE", "/api/v1/images/" + self.image_id)[0], 409)
        self.assertEqual(self.wait_for_end(first["id"])["state"], "completed")

    def test_keys_that_are_missing_are_named(self):
        self.start_all("--devices", "2", "--uplink-interval", "60", "--lorawan", "1.0", "--ts005=false")
        self.image_id = self.add_image()
        problems, _ = self.start_problems()
        self.assertEqual(problems[0]["field"], "device_profile")
        self.assertIn("class C", problems[0]["detail"])

    def test_broken_events_disturb_nothing(self):
        self.start_all("--devices", "3", "--uplink-interval", "60")
        deployment = self.create("--data-rate", "5")
        self.rig.ctl("deployment", "start", deployment)
        topic = f"application/{self.rig.world['application_id']}/device/{self.rig.world['devices'][0]}/event/"
        for event in ("up", "join", "txack", "log", "status"):
            for payload in (b"{broken", b"", b"\x0a\xff\xff", b"{}", b'{"deviceInfo":{"devEui":"zz"}}', b"\x00" * 300):
                subprocess.run([os.path.join(os.path.dirname(__file__), "publish.py"), str(self.rig.mqtt_port), topic + event,
                                payload.hex()], check=True)
        self.assertEqual(self.wait_for_end(deployment)["state"], "completed")

    def test_the_parts_may_come_late(self):
        rig = self.rig
        rig.conninfo = f"host={rig.path('run')} user=fuotad dbname=postgres"
        process = rig.start_fuotad(wait=False)
        time.sleep(1.0)
        self.assertIsNone(process.poll(), "fuotad must wait for its database")
        rig.start_postgres()
        rig.start_mosquitto()
        rig.start_sim("--devices", "2", "--uplink-interval", "60")
        wait_for("fuotad", rig.is_healthy, process=process, log=rig.log("fuotad"))
        deployment = self.create("--data-rate", "5")
        rig.ctl("deployment", "start", deployment)
        self.assertEqual(self.wait_for_end(deployment)["state"], "completed")

    def test_a_network_server_that_is_down_is_told(self):
        rig = self.rig
        rig.start_postgres()
        rig.start_mosquitto()
        rig.start_sim("--devices", "2")
        rig.start_fuotad()
        self.image_id = self.add_image()
        rig.stop("sim")
        time.sleep(0.3)
        self.assertEqual(rig.health()["status"], "degraded")
        self.assertTrue(any("network server" in text for text in rig.health()["waiting_for"]))


class Configuration(unittest.TestCase):
    def check(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(text)
            f.flush()
            return subprocess.run([os.path.join(BUILD, "src/daemon/fuotad"), "--check-config", "--config", f.name],
                                  capture_output=True, text=True), f.name

    def test_every_wrong_key_is_named_with_its_line_and_what_is_allowed(self):
        done, name = self.check('log: { level = "loud"; };\nmqtt: { port = 70000;\n  tls = "yes"; nonsense = 1; };\n'
                                'defaults: { expected_loss = 2.0; };\nunknown = 3;\nkeys = 4;\n'
                                'grpc: { host = "example.org"; };\n')
        self.assertEqual(done.returncode, 2)
        for text in [f"{name}:2: mqtt.port = 70000: must be an integer from 1 to 65535",
                     f'{name}:3: mqtt.tls = "yes": must be true or false', f"{name}:3: mqtt.nonsense: there is no such key",
                     f"{name}:4: defaults.expected_loss = 2: must be a number from 0 to 0.9",
                     f"{name}:5: unknown: there is no such key", "keys", "must be debug, info, warning or error",
                     'grpc.host = "example.org"']:
            self.assertIn(text, done.stderr)

    def test_a_syntax_error_has_its_line_and_a_missing_file_its_reason(self):
        done, name = self.check("log: {\n  level = ;\n};")
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{name}:2:", done.stderr)
        done = subprocess.run([os.path.join(BUILD, "src/daemon/fuotad"), "--config", "/nonexistent"], capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nonexistent: No such file", done.stderr)

    def test_the_sample_is_right(self):
        sample = subprocess.run([os.path.join(BUILD, "src/daemon/fuotad"), "--sample-config"], capture_output=True,
                                text=True, check=True).stdout
        done, _ = self.check(sample)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
