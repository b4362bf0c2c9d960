"""What a whole run writes, says and leaves in memory is searched for every key and token that it used."""
import base64
import http.client
import os
import resource
import secrets
import shutil
import signal
import subprocess
import unittest

from e2e import EndToEnd, image
from needles import Needles, memory_of
from rig import wait_for


def aes(key, block):
    """One block of AES-128 by another implementation than the daemon calls: a program."""
    return subprocess.run(["openssl", "enc", "-aes-128-ecb", "-nopad", "-K", key], input=bytes.fromhex(block),
                          capture_output=True, check=True).stdout.hex()


def open_seal(key, sealed):
    """AES-256-GCM is counter mode from nonce and 2 on; the tag is not looked at."""
    return subprocess.run(["openssl", "enc", "-d", "-aes-256-ctr", "-K", key, "-iv", sealed[:12].hex() + "00000002"],
                          input=sealed[12:28], capture_output=True, check=True).stdout.hex()


class Search(unittest.TestCase):
    def test_every_form_is_found(self):
        key, token = secrets.token_bytes(16), secrets.token_urlsafe(24)
        needles = Needles()
        needles.add_key("key", key.hex())
        needles.add_token("token", token)
        for octets in (key, key.hex().encode(), key.hex().upper().encode(), b"\\x" + key.hex().encode(), key[8:],
                       key.hex().upper().encode()[:16], *(base64.b64encode(bytes(n) + key + b"end") for n in range(4))):
            found = needles.find("there", secrets.token_bytes(50) + octets + secrets.token_bytes(50))
            self.assertTrue(found and all(line.startswith("there: key (") for line in found), octets)
        for octets in (token.encode(), token.encode().hex().encode(), base64.b64encode(b"Bearer " + token.encode())):
            self.assertTrue(needles.find("there", b"before" + octets + b"after"), octets)
        self.assertEqual(needles.find("there", secrets.token_bytes(5000)), [])


class Secrets(EndToEnd):
    rate = 100.0

    def setUp(self):
        super().setUp()
        self.needles = Needles()
        self.said = []  # (by whom, octets)
        self.inputs = {self.rig.path(name) for name in ("api-token", "seal-key", "keys", "fuotad.conf",
                                                        "state/admin-token")}
        real = subprocess.run

        def run(command, **kwargs):
            done = real(command, **kwargs)
            if os.path.basename(command[0]) == "fuotactl":
                self.said.append((f"the output of {' '.join(command[5:7])}", (done.stdout + done.stderr).encode()))
            return done
        subprocess.run = run
        self.addCleanup(setattr, subprocess, "run", real)

    # what the run uses

    def read(self, name):
        with open(self.rig.path(name)) as f:
            return f.read().strip()

    def know_inputs(self):
        self.needles.add_token("ChirpStack's token", self.rig.api_token)
        self.needles.add_key("the seal key", self.read("seal-key"))
        self.password = secrets.token_hex(12)
        self.needles.add_token("the database's password", self.password)
        self.rig.conninfo += " password=" + self.password

    def know_devices(self):
        for line in self.read("keys").splitlines():
            kind, owner, digits = line.split()
            self.needles.add_key(f"{kind} of {owner}", digits)
            if kind in ("GenAppKey", "AppKey"):
                root = aes(digits, ("20" if kind == "AppKey" else "00") + "00" * 15)
                self.needles.add_key(f"McRootKey of {owner}", root)
                self.needles.add_key(f"McKEKey of {owner}", aes(root, "00" * 16))

    def know_deployment(self, deployment):
        """The keys of a running deployment, from its seal; the network server was given the same."""
        sealed = bytes.fromhex(self.rig.sql(f"SELECT encode(mc_key_sealed, 'hex') FROM fuotad.transmission "
                                            f"WHERE deployment_id = '{deployment}'"))
        mc_addr = self.rig.sql(f"SELECT params->>'mc_addr' FROM fuotad.deployment WHERE id = '{deployment}'")
        mc_key = open_seal(self.read("seal-key"), sealed)
        tail = int(mc_addr).to_bytes(4, "little").hex() + "00" * 11
        keys = {"McKey": mc_key, "McAppSKey": aes(mc_key, "01" + tail), "McNwkSKey": aes(mc_key, "02" + tail)}
        for kind, digits in keys.items():
            self.needles.add_key(f"{kind} of {deployment}", digits)
        wait_for("the group", lambda: keys["McAppSKey"] in self.read("keys"))
        self.assertIn(keys["McNwkSKey"], self.read("keys"))
        return mc_key

    # what the run writes and says

    def look_at_process(self):
        pid = self.rig.processes["fuotad"].pid
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as f:
                self.said.append((f"/proc/PID/{name}", f.read()))

    def start_fuotad(self):
        self.rig.start_fuotad()
        self.look_at_process()

    def ask(self, method, path, body=b"", **headers):
        """An HTTP answer as it is, with its headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rig.http_port, timeout=20)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        self.said.append((f"the answer to {method} {path}", str(answer.getheaders()).encode() + answer.read()))
        connection.close()
        return answer.status

    def ask_wrongly(self):
        token = self.read("state/admin-token")
        right = {"Authorization": "Bearer " + token}
        self.assertEqual(self.ask("GET", "/api/v1/status", Authorization="Bearer " + token + "0"), 401)
        self.assertEqual(self.ask("GET", "/api/v1/status", Authorization="Basic " + token), 401)
        self.assertEqual(self.ask("GET", "/api/v1/status", Authorization="Bearer " + token.replace(token[3], "z")), 401)
        self.assertEqual(self.ask("GET", "/api/v1/status", Cookie="token=" + token[:-1]), 401)
        self.assertEqual(self.ask("GET", "/api/v1/nothing", **right), 404)
        self.assertEqual(self.ask("PUT", "/api/v1/images", **right), 405)
        right["Content-Type"] = "application/json"
        self.assertEqual(self.ask("POST", "/api/v1/deployments", b"{broken", **right), 400)
        self.assertEqual(self.ask("POST", "/api/v1/deployments", b"{}", **right), 422)
        for path in ("health", "status", "images", "deployments"):
            self.assertEqual(self.ask("GET", "/api/v1/" + path, **right), 200)

    def refused_token(self):
        """ChirpStack refuses the token that the daemon has."""
        wrong = secrets.token_hex(16)
        self.needles.add_token("the refused token", wrong)
        self.rig.write("api-token", wrong + "\n")
        self.rig.stop("fuotad")
        self.start_fuotad()
        refused = self.create("--data-rate", "5", image_id=self.image_id)
        self.assertNotEqual(self.rig.ctl("deployment", "start", refused, check=False).returncode, 0)
        self.assertTrue(self.show(refused)["problems"])
        self.rig.write("api-token", self.rig.api_token + "\n")
        self.rig.stop("fuotad")
        self.start_fuotad()

    def broken_database(self):
        self.rig.stop("postgres", signal.SIGKILL)
        wait_for("the outage", lambda: self.rig.health()["status"] == "degraded")
        self.ask("GET", "/api/v1/status", Authorization="Bearer " + self.read("state/admin-token"))
        pid = self.rig.path("pg/postmaster.pid")
        if os.path.exists(pid):
            os.unlink(pid)
        self.rig.run_postgres()
        wait_for("its health", self.rig.is_healthy)

    def replace_seal_key(self):
        shutil.move(self.rig.path("seal-key"), self.rig.path("old-key"))
        self.rig.write("seal-key", secrets.token_hex(32) + "\n")
        self.inputs.add(self.rig.path("old-key"))
        self.needles.add_key("the new seal key", self.read("seal-key"))
        self.rig.old_seal_keys = ["old-key"]
        self.rig.write_config()
        self.rig.processes["fuotad"].send_signal(signal.SIGHUP)
        wait_for("the new seal", lambda: "a multicast key was sealed anew" in self.read("fuotad.log"),
                 log=self.rig.log("fuotad"))

    def start_and_know(self, *options):
        deployment = self.create("--data-rate", "5", *options, image_id=self.image_id)
        self.rig.ctl("deployment", "start", deployment)
        return deployment, self.know_deployment(deployment)

    def begin(self, *sim_options):
        self.rig.log_level = "debug"
        self.rig.start_postgres("log_statement=all", "log_parameter_max_length_on_error=-1", "log_min_messages=debug1")
        self.know_inputs()
        self.rig.start_mosquitto("log_type all\n")
        self.rig.start_sim("--devices", "6", "--uplink-interval", "60", "--dump-keys", self.rig.path("keys"),
                           "--kind", "mixed", *sim_options)
        self.start_fuotad()
        self.needles.add_token("the admin token", self.read("state/admin-token"))
        self.know_devices()
        self.image_id = self.add_image(image(30000))

    def test_nothing_that_is_written_or_said_has_a_key(self):
        self.begin("--lorawan", "1.1")
        self.ask_wrongly()
        self.refused_token()
        first, _ = self.start_and_know()
        self.wait_until(first, lambda shown: shown["stages"].get("receiving", 0) >= 1)
        self.rig.stop("fuotad", signal.SIGKILL)
        self.start_fuotad()
        self.replace_seal_key()
        self.broken_database()
        self.ask_wrongly()
        self.assertEqual(self.wait_for_end(first)["state"], "completed")
        second, _ = self.start_and_know()
        self.rig.ctl("deployment", "abort", second)
        self.assertEqual(self.wait_for_end(second)["state"], "aborted")
        for command in (["status"], ["image", "list"], ["deployment", "list"], ["deployment", "show", first],
                        ["deployment", "devices", first], ["device", "show", self.rig.world["devices"][0]]):
            self.rig.ctl(*command)
            self.rig.ctl("--json", *command)
        self.rig.sql("CHECKPOINT")
        for name in ("fuotad", "sim", "mosquitto"):
            self.rig.stop(name)
        self.rig.stop("postgres", signal.SIGINT)
        self.assertGreater(len(self.needles.names()), 6 * 4 + 2 * 3 + 5)
        found, file_count = self.needles.find_in_files(self.rig.dir, self.inputs)
        for where, octets in self.said:
            found += self.needles.find(where, octets)
        self.assertEqual(found, [])
        # The search reaches what it must: logs with parameters, tables, the write-ahead log, the broker's memory.
        self.assertGreater(file_count, 500)
        reached = Needles()
        reached.needles = [("a state", "text", b"mc_key_sealed"),
                           ("a device", "text", self.rig.world["devices"][0].encode())]
        where = "\n".join(reached.find_in_files(self.rig.dir)[0])
        for place in ("postgres.log: a state", "postgres.log: a device", "base/", "pg_wal/", "mosquitto.log"):
            self.assertIn(place, where)

    def keys_in_memory(self, names):
        if os.geteuid() != 0:
            self.skipTest("SKIPPED: only root can read the memory of a process that forbids it")
        only = Needles()
        only.needles = [needle for needle in self.needles.needles if needle[0].split(" of ")[0] in names]
        found = []
        try:
            memory = memory_of(self.rig.processes["fuotad"].pid)
        except MemoryError:
            self.skipTest("SKIPPED: the memory of a program under a sanitizer is too large to be searched")
        for place, octets in memory:
            found += only.find(place, octets)
        return found

    def test_memory_holds_no_key_that_is_not_needed_any_more(self):
        self.begin()
        self.image_id = self.add_image(image(60000), version="2.0.0")
        deployment, _ = self.start_and_know()
        self.replace_seal_key()
        # While it runs it needs these; that they are found shows that the search reads the right memory.
        held = " ".join(self.keys_in_memory({"McKey", "McAppSKey", "McNwkSKey"}))
        for kind in ("McKey", "McAppSKey", "McNwkSKey"):
            self.assertIn(kind + " of", held)
        self.assertEqual(self.wait_for_end(deployment)["state"], "completed")
        self.rig.old_seal_keys = []
        self.rig.write_config()
        self.rig.processes["fuotad"].send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: "old=0" in self.read("fuotad.log"))
        wait_for("the end", lambda: "deployment: over" in self.read("fuotad.log"))
        self.assertEqual(self.keys_in_memory({"GenAppKey", "AppKey", "NwkKey", "McRootKey", "McKEKey", "McKey",
                                              "McAppSKey", "McNwkSKey", "the seal key"}), [])

    def abort(self, process):
        process.send_signal(signal.SIGABRT)
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        process.wait()
        return ended.si_code

    def is_dumpable(self, pid):
        """What may not be dumped belongs to root in /proc, whoever runs it."""
        return os.stat(f"/proc/{pid}/environ").st_uid != 0

    def test_no_core_dump(self):
        before = resource.getrlimit(resource.RLIMIT_CORE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, before)
        resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))  # what is started here may dump
        folder = self.rig.path("core")
        os.mkdir(folder)
        self.rig.conninfo = "host=/nonexistent"  # it waits for it
        config = self.rig.write_config()
        as_user = []
        if os.geteuid() == 0:
            for name in (config, self.rig.path("api-token"), self.rig.path("seal-key"), folder):
                os.chown(name, 65534, 65534)
            as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        command = [os.path.join(self.rig.build, "src/daemon/fuotad"), "--config", config]
        fuotad = self.rig.start("fuotad", as_user + command, cwd=folder)
        wait_for("fuotad", lambda: "waiting for it" in self.read("fuotad.log"), process=fuotad)
        with open(f"/proc/{fuotad.pid}/limits") as f:
            limits = {line[:26].strip(): line[26:].split()[:2] for line in f}
        self.assertEqual(limits["Max core file size"], ["0", "0"])
        self.assertFalse(self.is_dumpable(fuotad.pid))
        self.assertEqual(self.abort(self.rig.processes.pop("fuotad")), os.CLD_KILLED)
        self.assertEqual(os.listdir(folder), [])
        other = self.rig.start("other", as_user + ["sleep", "60"], cwd=folder)
        wait_for("its own program", lambda: os.readlink(f"/proc/{other.pid}/exe").endswith(("sleep", "coreutils")))
        self.assertTrue(self.is_dumpable(other.pid))
        if self.abort(self.rig.processes.pop("other")) != os.CLD_DUMPED:
            self.skipTest("SKIPPED in part: no program can dump a core here")


if __name__ == "__main__":
    unittest.main()
