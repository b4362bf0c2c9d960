"""The demonstration: fuotad brings an image to many virtual devices, and the devices themselves say what they hold."""
import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from rig import ROOT, Rig, RigError

DEFAULT_SIZE = 60000


def fraction(text):
    value = float(text)
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError("must be from 0 to below 1")
    return value


def count(text):
    value = int(text)
    if not 1 <= value <= 20000:
        raise argparse.ArgumentTypeError("must be from 1 to 20000")
    return value


def parse():
    p = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    p.add_argument("--image", metavar="FILE", help="what is sent (default: the built fuotad, cut to 60 kB)")
    p.add_argument("--devices", type=count, default=50, metavar="N", help="virtual devices (default 50)")
    p.add_argument("--loss", type=fraction, default=0.05, metavar="P", help="share of downlinks lost (default 0.05)")
    p.add_argument("--uplink-loss", type=fraction, default=0.0, metavar="P", help="share of uplinks lost")
    p.add_argument("--device-limit", type=int, default=0, metavar="L",
                   help="lost fragments that a device can hold (default: all)")
    p.add_argument("--rounds", type=int, default=None, metavar="N",
                   help="batches of fragments at most (default: until all have it; 1: a fixed redundancy, as others do)")
    p.add_argument("--redundancy", metavar="PERCENT", help="coded fragments before anybody is asked (default: auto)")
    p.add_argument("--seed", type=int, default=1, metavar="S")
    p.add_argument("--rate", type=float, default=100.0, metavar="R", help="how much faster time passes (default 100)")
    p.add_argument("--region", default="EU868")
    p.add_argument("--data-rate", type=int, default=None, metavar="D",
                   help="of the multicast session (default: 5 in EU868, else the region's)")
    p.add_argument("--json", metavar="FILE", help="where the result goes, in full")
    p.add_argument("--dump-images", metavar="DIR", help="writes what each device holds")
    p.add_argument("--keep", action="store_true", help="leaves everything running until Ctrl-C")
    p.add_argument("sim", nargs="*", help="after --: further options of fuota-sim")
    return p.parse_args()


def image_file(args, rig, build):
    if args.image:
        return args.image
    name = rig.path("image.bin")
    with open(os.path.join(build, "src/daemon/fuotad"), "rb") as f, open(name, "wb") as out:
        out.write(f.read(DEFAULT_SIZE))
    return name


def run(args, build, rig):
    started = time.monotonic()
    image = image_file(args, rig, build)
    with open(image, "rb") as f:
        sha256 = hashlib.sha256(f.read()).hexdigest()
    print(f"demo: {os.path.getsize(image)} octets to {args.devices} devices, {args.loss:.0%} of the downlinks lost, time "
          f"passes {args.rate:g} times faster", flush=True)
    rig.start_postgres()
    rig.start_mosquitto()
    options = ["--devices", str(args.devices), "--loss", str(args.loss), "--uplink-loss", str(args.uplink_loss),
               "--device-limit", str(args.device_limit), "--seed", str(args.seed), "--uplink-interval", "60",
               "--uplink-jitter", "15", "--region", args.region]
    if args.dump_images:
        os.makedirs(args.dump_images, exist_ok=True)
        options += ["--dump-images", os.path.abspath(args.dump_images)]
    rig.start_sim(*options, *args.sim)
    rig.start_fuotad()
    added = rig.ctl_json("image", "add", image, "--name", "demo", "--version", "1.0.0")
    create = ["deployment", "create", "--image", added["id"], "--application", rig.world["application_id"],
              "--devices-file", rig.path("devices.txt"), "--name", "demo"]
    data_rate = 5 if args.data_rate is None and args.region == "EU868" else args.data_rate
    if data_rate is not None:
        create += ["--data-rate", str(data_rate)]
    if args.rounds is not None:
        create += ["--rounds", str(args.rounds)]
        create += ["--repair-passes", "0"] if args.rounds == 1 else []
    if args.redundancy is not None:
        create += ["--redundancy", args.redundancy]
    deployment = rig.ctl_json(*create)["id"]
    rig.ctl("deployment", "start", deployment)
    watching = subprocess.run(rig.ctl_command("deployment", "watch", deployment))
    if watching.returncode not in (0, 1):
        raise RigError(f"fuotactl deployment watch ended with status {watching.returncode}")
    time.sleep(0.2)
    result = verdict(args, rig, deployment, image, sha256, started)
    if args.keep:
        keep(rig)
    return result


def rounds(rig, deployment):
    """What followed the first pass, as the timeline has it."""
    texts = rig.sql("SELECT text FROM fuotad.event WHERE deployment_id = '" + deployment + "' AND dev_eui IS NULL AND kind IN "
                    "('round', 'session', 'repair', 'stopped') ORDER BY id").splitlines()
    return [text for text in texts if text != "class C session 1 is set up"]


def verdict(args, rig, deployment, image, sha256, started):
    shown = rig.ctl_json("deployment", "show", deployment)
    told = {d["dev_eui"]: d for d in rig.ctl_json("deployment", "devices", deployment)["devices"]}
    if args.keep:
        rig.processes["sim"].send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        with open(rig.path("report.json")) as f:
            report = json.load(f)
    else:
        report = rig.report()
    devices, failed = [], []
    for d in report["devices"]:
        says = told.get(d["dev_eui"], {})
        holds = d["sha256"] == sha256
        devices.append({"dev_eui": d["dev_eui"], "kind": d["kind"], "sha256": d["sha256"], "stage": says.get("stage"),
                        "reason": says.get("reason")})
        if not holds or says.get("stage") != "delivered":
            failed.append({"dev_eui": d["dev_eui"], "holds_image": holds, "stage": says.get("stage"),
                           "reason": says.get("reason"), "reason_text": says.get("reason_text"), "device_says": d["reason"]})
    holding = sum(d["sha256"] == sha256 for d in devices)
    lies = [d["dev_eui"] for d in devices if d["stage"] == "delivered" and d["sha256"] != sha256]
    result = {
        "devices": len(devices), "updated": holding, "failed": failed, "sha256": sha256, "per_device": devices,
        "state": shown["state"], "frames_sent": shown["frames_sent"], "rounds": shown["round"],
        "sessions": shown["session_number"], "repair_passes": shown["repair_number"],
        "fragment_count": shown["fragment_count"], "coded_count": shown["coded_count"],
        "fragment_size": shown["fragment_size"], "fragments_repeated": report["fragments_seen"].get("repeated_n"),
        "seconds_real": round(time.monotonic() - started, 1), "seconds_simulated": report["protocol_seconds"],
    }
    print(f"demo: {result['fragment_count']} fragments of {result['fragment_size']} octets and {result['coded_count']} "
          f"redundant ones at first, {result['frames_sent']} frames in {result['seconds_simulated'] / 60:.0f} simulated "
          f"minutes, {result['seconds_real']:.0f} s of yours")
    for line in rounds(rig, deployment):
        print("demo: " + line)
    for f in failed[:20]:
        print(f"demo: {f['dev_eui']}: {f['reason_text'] or f['stage']} (the device says: {f['device_says']})")
    if len(failed) > 20:
        print(f"demo: ... and {len(failed) - 20} more")
    if lies:
        print(f"demo: fuotad calls {len(lies)} devices delivered that do not hold the image")
    if args.json:
        with open(args.json, "w") as f:
            json.dump(result, f, indent=1)
    print(f"demo: {holding}/{len(devices)} devices hold the identical image (sha256 {sha256})", flush=True)
    result["is_good"] = holding == len(devices) and not failed
    return result


def keep(rig):
    print(f"""
Everything runs until Ctrl-C:
  API         http://127.0.0.1:{rig.http_port}/api/v1/health
  token file  {rig.path('state/admin-token')}
  fuotactl    {' '.join(rig.ctl_command('deployment', 'list'))}
  PostgreSQL  psql -h {rig.path('run')} -U fuotad postgres
  broker      127.0.0.1:{rig.mqtt_port}
  logs        {rig.dir}/*.log""", flush=True)
    while True:
        time.sleep(3600)


def main():
    args = parse()
    build = os.path.abspath(os.environ.get("FUOTAD_BUILD", os.path.join(ROOT, "build")))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    rig = Rig(build, args.rate)
    try:
        return 0 if run(args, build, rig)["is_good"] else 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    except RigError as error:
        print(f"demo: {error}", file=sys.stderr)
        for name in ["fuotad", "sim"]:
            if os.path.exists(rig.log(name)):
                shutil.copy(rig.log(name), f"/tmp/fuotad-demo-{name}.log")
                print(f"demo: its log is in /tmp/fuotad-demo-{name}.log", file=sys.stderr)
        return 1
    finally:
        rig.close()


if __name__ == "__main__":
    sys.exit(main())
