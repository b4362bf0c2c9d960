"""A TCP proxy on loopback that stands for the network between two parts: it can be cut, frozen, slowed and healed."""
import collections
import selectors
import socket
import struct
import threading
import time

CHUNK = 65536
QUEUE_MAX = 1 << 20  # octets on the way in one direction; beyond, nothing more is read
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Direction:
    """What one side said, on its way to the other."""

    def __init__(self, source, sink, delay_of):
        self.source, self.sink, self.delay_of = source, sink, delay_of
        self.chunks = collections.deque()  # (when it may arrive, octets)
        self.size = 0
        self.is_over = False  # the source said its last word

    def read(self):
        data = self.source.recv(CHUNK)
        self.is_over = not data
        if data:
            self.chunks.append((time.monotonic() + self.delay_of(), data))
            self.size += len(data)

    def write(self):
        while self.chunks and self.chunks[0][0] <= time.monotonic():
            due, data = self.chunks[0]
            sent = self.sink.send(data)
            self.size -= sent
            if sent < len(data):
                self.chunks[0] = (due, data[sent:])
                return
            self.chunks.popleft()


class Proxy:
    """Each connection to `port` is led on to `target`, a TCP port of loopback or the path of a Unix socket."""

    def __init__(self, target):
        self.target = target
        self.is_cut = self.is_frozen = self.is_closing = False
        self.delay_to, self.delay_from = 0.0, 0.0  # s, towards the target and from it
        self.links = []  # pairs of directions
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    # what a test does

    def cut(self):
        """Every connection is reset, every new one too."""
        with self.lock:
            self.is_cut = True
            while self.links:
                self.drop(self.links[0])

    def freeze(self):
        """Nothing is forwarded, read or accepted, and nobody is told."""
        with self.lock:
            self.is_frozen = True

    def slow(self, delay_to, delay_from):
        """Each chunk takes that many seconds more, towards the target and from it."""
        with self.lock:
            self.delay_to, self.delay_from = delay_to, delay_from

    def heal(self):
        """What was held back goes on its way; new connections come through."""
        with self.lock:
            self.is_cut = self.is_frozen = False
            self.delay_to = self.delay_from = 0.0

    def close(self):
        self.cut()
        self.is_closing = True
        self.thread.join()
        self.listener.close()

    # its thread

    def drop(self, link):
        self.links.remove(link)
        for direction in link:
            try:
                direction.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            except OSError:
                pass  # a Unix socket knows no RST
            direction.source.close()

    def accept(self):
        try:
            client, _ = self.listener.accept()
        except BlockingIOError:
            return
        server = socket.socket(socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET)
        try:
            if self.is_cut:
                raise ConnectionError
            server.connect(self.target if isinstance(self.target, str) else ("127.0.0.1", self.target))
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            server.close()
            return
        for s in (client, server):
            s.setblocking(False)
            if s.family == socket.AF_INET:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.links.append((Direction(client, server, lambda: self.delay_to),
                           Direction(server, client, lambda: self.delay_from)))

    def serve(self, link, readable):
        try:
            for direction in link:
                if direction.source in readable and direction.size < QUEUE_MAX and not direction.is_over:
                    direction.read()
                try:
                    direction.write()
                except BlockingIOError:
                    pass  # the sink is full: with the next turn
                if direction.is_over and not direction.chunks:
                    self.drop(link)
                    return
        except OSError:
            self.drop(link)

    def run(self):
        while not self.is_closing:
            with selectors.DefaultSelector() as selector:
                with self.lock:
                    is_waiting = False
                    if not self.is_frozen:
                        selector.register(self.listener, selectors.EVENT_READ)
                        for link in self.links:
                            for direction in link:
                                is_waiting = is_waiting or bool(direction.chunks)
                                if direction.size < QUEUE_MAX and not direction.is_over:
                                    selector.register(direction.source, selectors.EVENT_READ)
                try:
                    events = selector.select(0.002 if is_waiting else 0.05)
                except OSError:
                    continue  # cut meanwhile
            readable = {key.fileobj for key, _ in events}
            with self.lock:
                if self.is_frozen:
                    continue
                if self.listener in readable:
                    self.accept()
                for link in list(self.links):
                    if link in self.links:
                        self.serve(link, readable)
