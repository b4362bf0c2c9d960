#!/usr/bin/env python3
"""publish.py PORT TOPIC HEX: one MQTT 3.1.1 message at QoS 1 to a broker on loopback, octets as they are."""
import socket
import sys


def packet(kind, body):
    size, head = len(body), bytearray([kind])
    while True:
        size, octet = size // 128, size % 128
        head.append(octet | (0x80 if size else 0))
        if not size:
            return bytes(head) + body


def text(value):
    return len(value).to_bytes(2, "big") + value


def read(s, size):
    answer = b""
    while len(answer) < size:
        octets = s.recv(size - len(answer))
        assert octets, "the broker closed the connection"
        answer += octets
    return answer


def main():
    port, topic, payload = int(sys.argv[1]), sys.argv[2].encode(), bytes.fromhex(sys.argv[3])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.sendall(packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x1e" + text(b"")))
        assert read(s, 4)[3] == 0
        s.sendall(packet(0x32, text(topic) + b"\x00\x01" + payload))
        assert read(s, 4)[0] == 0x40
        s.sendall(b"\xe0\x00")


if __name__ == "__main__":
    main()
