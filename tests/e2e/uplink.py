"""An `up` event as ChirpStack would publish it."""
import base64
import datetime
import json
import os
import subprocess


def uplink(rig, dev_eui, payload, port, minute=0):
    """Topic and payload. `minute`: of the device's own time, and its FCnt."""
    at = datetime.datetime.fromtimestamp(1800000000 + 60 * minute, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "deduplicationId": "00000000-0000-4000-8000-000000000001", "time": at, "fCnt": minute, "fPort": port,
        "deviceInfo": {"tenantId": rig.world["tenant_id"], "applicationId": rig.world["application_id"],
                       "deviceProfileId": rig.world["device_profile_ids"][0], "devEui": dev_eui},
        "data": base64.b64encode(payload).decode(),
        "rxInfo": [{"gatewayId": rig.world["gateways"][0], "rssi": -60, "snr": 7.5, "nsTime": at}],
        "txInfo": {"frequency": 868100000, "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": 7}}},
    }
    topic = f"application/{rig.world['application_id']}/device/{dev_eui}/event/up"
    return topic, json.dumps(event).encode()


def publish_uplink(rig, dev_eui, payload, port, minute=0):
    topic, event = uplink(rig, dev_eui, payload, port, minute)
    subprocess.run([os.path.join(os.path.dirname(__file__), "publish.py"), str(rig.mqtt_port), topic, event.hex()], check=True)
