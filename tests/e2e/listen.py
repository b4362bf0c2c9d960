"""What is published on a broker on loopback: MQTT 3.1.1 at QoS 0, octets as they are."""
import socket
import threading
import time

from publish import packet, read, text


class Listener:
    """Collects topics and payloads from its making on, until it is closed."""

    def __init__(self, port, *filters):
        self.messages = []
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.socket.sendall(packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x00" + text(b"")))
        assert read(self.socket, 4)[3] == 0
        self.socket.sendall(packet(0x82, b"\x00\x01" + b"".join(text(f.encode()) + b"\x00" for f in filters)))
        answer = read(self.socket, 4 + len(filters))
        assert answer[0] == 0x90 and 0x80 not in answer[4:]
        self.socket.settimeout(None)
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        try:
            while True:
                kind = read(self.socket, 1)[0]
                size, shift = 0, 0
                while True:
                    octet = read(self.socket, 1)[0]
                    size += (octet & 0x7F) << shift
                    shift += 7
                    if octet < 0x80:
                        break
                body = read(self.socket, size)
                if kind >> 4 == 3:
                    end = 2 + int.from_bytes(body[:2], "big")
                    self.messages.append((body[2:end].decode(), body[end:]))
        except (AssertionError, OSError):
            pass  # it is closed

    def settle(self, quiet_s=0.5):
        """Waits until nothing has come for some time."""
        count = -1
        while count != len(self.messages):
            count = len(self.messages)
            time.sleep(quiet_s)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join()
        self.socket.close()
