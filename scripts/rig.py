"""A private PostgreSQL, a private mosquitto, fuota-sim and fuotad on loopback, in a temporary directory.

Used by scripts/demo and the end-to-end tests. Everything it starts ends with it, also when it is killed; nothing that
the machine already runs is touched.
"""
import ctypes
import glob
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PR_SET_PDEATHSIG = 1


class RigError(Exception):
    """A part of the rig did not come up, or ended by itself."""


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    """Not one of those that the kernel gives to connections and to who asks for any: it is bound only later."""
    while True:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", random.randrange(10000, 32000)))
                return s.getsockname()[1]
            except OSError:
                pass


def wait_for(what, is_there, limit_s=30.0, process=None, log=None):
    end = time.monotonic() + limit_s
    while not is_there():
        if process is not None and process.poll() is not None:
            raise RigError(f"{what} ended with status {process.returncode}{tail(log)}")
        if time.monotonic() > end:
            raise RigError(f"{what} did not come up in {limit_s:.0f} s{tail(log)}")
        time.sleep(0.02)


def tail(log):
    if log is None or not os.path.exists(log):
        return ""
    with open(log, errors="replace") as f:
        return ":\n" + "".join(f.readlines()[-15:])


def can_connect(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False


class Rig:
    def __init__(self, build, clock_rate=1.0):
        self.build = build
        self.dir = tempfile.mkdtemp(prefix="fuotad-", dir="/tmp")
        os.chmod(self.dir, 0o711)
        self.processes = {}
        self.clock_rate = clock_rate
        self.clock_epoch_ms = int(time.time() * 1000)
        self.mqtt_port, self.grpc_port, self.http_port = free_port(), free_port(), free_port()
        self.http_ports = {"fuotad": self.http_port}  # of each daemon
        self.api_token = secrets.token_hex(16)
        self.extra_config = ""
        self.old_seal_keys = []  # names of files
        self.log_level = "info"
        self.mqtt_config = self.grpc_config = ""
        self.via = {}  # "mqtt", "grpc", "postgres", "sim_mqtt": the port of a proxy on that way
        self.postgres_folder = "pg"
        self.write("api-token", self.api_token + "\n")
        self.write("seal-key", secrets.token_hex(32) + "\n")

    # files and processes

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), 0o600)
        return self.path(name)

    def start(self, name, command, log_mode="ab", **kwargs):
        log = open(self.path(name + ".log"), log_mode)
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                                   preexec_fn=die_with_parent, **kwargs)
        log.close()
        self.processes[name] = process
        return process

    def log(self, name):
        return self.path(name + ".log")

    def stop(self, name, how=signal.SIGTERM, limit_s=15.0):
        process = self.processes.pop(name, None)
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(limit_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return process.returncode

    def close(self):
        for name in [*self.http_ports, "sim", "mosquitto", "postgres"]:
            self.stop(name, signal.SIGINT if name == "postgres" else signal.SIGTERM)
        for name in list(self.processes):
            self.stop(name, signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # parts

    def start_postgres(self, *settings):
        versions = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[4]))
        if not versions:
            raise RigError("PostgreSQL is not installed: run scripts/setup")
        pg = versions[-1]
        data = self.path(self.postgres_folder)
        prefix = []
        if os.getuid() == 0:  # PostgreSQL refuses root
            user = pwd.getpwnam("postgres")
            prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups", "--reset-env",
                      "--pdeathsig=KILL"]
            for folder in [data, self.path("run")]:
                os.mkdir(folder, 0o700)
                os.chown(folder, user.pw_uid, user.pw_gid)
        else:
            os.mkdir(data, 0o700)
            os.mkdir(self.path("run"), 0o700)
        done = subprocess.run(prefix + [f"{pg}/initdb", "--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust",
                                        "-U", "fuotad", "-D", data], capture_output=True, text=True, cwd="/")
        if done.returncode != 0:
            raise RigError("initdb failed:\n" + done.stderr)
        self.postgres_command = prefix + [
            f"{pg}/postgres", "-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories=" + self.path("run"),
            "-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "dynamic_shared_memory_type=mmap",
            "-c", "max_connections=30", "-c", "logging_collector=off"]
        for setting in settings:
            self.postgres_command += ["-c", setting]
        if os.getuid() == 0:
            os.chmod(self.path("run"), 0o755)
        self.conninfo = f"host={self.path('run')} user=fuotad dbname=postgres"
        self.run_postgres()

    def run_postgres(self):
        process = self.start("postgres", self.postgres_command, cwd="/")
        wait_for("PostgreSQL", lambda: self.sql("SELECT 1", check=False) == "1", process=process, log=self.log("postgres"))

    def sql(self, statement, check=True):
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-h", self.path("run"), "-U", "fuotad", "postgres", "-c",
                               statement], capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RigError(done.stderr)
        return done.stdout.strip()

    def start_mosquitto(self, extra=""):
        user = "user root\n" if os.getuid() == 0 else ""
        os.makedirs(self.path("mq"), exist_ok=True)
        conf = self.write("mosquitto.conf", f"listener {self.mqtt_port} 127.0.0.1\nallow_anonymous true\n{user}"
                          f"persistence true\npersistence_location {self.path('mq')}/\nmax_queued_messages 0\n"
                          f"max_inflight_messages 0\nset_tcp_nodelay true\n{extra}")
        binary = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if binary is None:
            raise RigError("mosquitto is not installed: run scripts/setup")
        process = self.start("mosquitto", [binary, "-c", conf])
        wait_for("mosquitto", lambda: can_connect(self.mqtt_port), process=process, log=self.log("mosquitto"))

    def start_sim(self, *options):
        ready = self.path("ready.json")
        if os.path.exists(ready):
            os.unlink(ready)
        command = [os.path.join(self.build, "src/sim/fuota-sim"), "--grpc-port", str(self.grpc_port), "--mqtt-port",
                   str(self.via.get("sim_mqtt", self.mqtt_port)), "--api-token-file", self.path("api-token"),
                   "--ready-file", ready, "--report", self.path("report.json"), "--clock-rate", str(self.clock_rate),
                   "--clock-epoch-ms", str(self.clock_epoch_ms)] + list(options)
        process = self.start("sim", command)
        wait_for("fuota-sim", lambda: os.path.exists(ready), process=process, log=self.log("sim"))
        with open(ready) as f:
            self.world = json.load(f)
        self.write("devices.txt", "".join(eui + "\n" for eui in self.world["devices"]))

    def report(self):
        """What the devices hold; ends the simulator."""
        self.stop("sim")
        with open(self.path("report.json")) as f:
            return json.load(f)

    def state_dir(self, name="fuotad"):
        return self.path("state" if name == "fuotad" else "state-" + name)

    def write_config(self, name="fuotad"):
        os.makedirs(self.state_dir(name), exist_ok=True)
        if name not in self.http_ports:
            self.http_ports[name] = free_port()
        old_seal_keys = ", ".join(f'"{self.path(file)}"' for file in self.old_seal_keys)
        conninfo = self.conninfo
        if "postgres" in self.via:
            conninfo = f"host=127.0.0.1 port={self.via['postgres']} sslmode=disable user=fuotad dbname=postgres"
        return self.write(name + ".conf", f"""
log: {{ level = "{self.log_level}"; }};
state_dir = "{self.state_dir(name)}";
database: {{ conninfo = "{conninfo}"; }};
mqtt: {{ port = {self.via.get('mqtt', self.mqtt_port)}; client_id = "fuotad-rig"; {self.mqtt_config} }};
grpc: {{ port = {self.via.get('grpc', self.grpc_port)}; token_file = "{self.path('api-token')}"; {self.grpc_config} }};
keys: {{ seal_key_file = "{self.path('seal-key')}"; old_seal_key_files = [{old_seal_keys}]; }};
http: {{ port = {self.http_ports[name]}; }};
simulation: {{ enabled = true; clock_rate = {float(self.clock_rate)}; clock_epoch_ms = {self.clock_epoch_ms}L; }};
{self.extra_config}
""")

    def start_fuotad(self, wait=True, name="fuotad", env=None):
        """One daemon, or, with another name, one more on the same database."""
        config = self.write_config(name)
        process = self.start(name, [os.path.join(self.build, "src/daemon/fuotad"), "--config", config],
                             env={**os.environ, **(env or {})})
        if wait:
            wait_for(name, lambda: self.is_healthy(name), process=process, log=self.log(name))
        return process

    def is_healthy(self, name="fuotad"):
        try:
            return self.health(name)["status"] == "ok"
        except (OSError, ValueError, KeyError):
            return False

    def health(self, name="fuotad"):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_ports[name]}/api/v1/health", timeout=5) as answer:
            return json.load(answer)

    # the operator

    def ctl_command(self, *arguments, name="fuotad"):
        return [os.path.join(self.build, "src/ctl/fuotactl"), "--server", f"http://127.0.0.1:{self.http_ports[name]}",
                "--token-file", self.path("state/admin-token")] + list(arguments)

    def ctl(self, *arguments, check=True, name="fuotad"):
        done = subprocess.run(self.ctl_command(*arguments, name=name), capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RigError(f"fuotactl {' '.join(arguments)}: status {done.returncode}\n{done.stderr}{done.stdout}")
        return done

    def ctl_json(self, *arguments, name="fuotad"):
        return json.loads(self.ctl("--json", *arguments, name=name).stdout)

    def api(self, method, path, body=None, token=None, headers=None):
        """A raw request: (status, parsed body)."""
        with open(self.path("state/admin-token")) as f:
            token = f.read().strip() if token is None else token
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=data, method=method)
        request.add_header("Authorization", "Bearer " + token)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text else None
