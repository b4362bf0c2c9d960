"""A daemon of answers written down beforehand, on a free port of the loopback."""

import http.server
import json
import threading

TOKEN = "ab" * 32


class FakeDaemon:
    """`answers` maps "METHOD /path" (without the query) to a list of answers: each is (status, body) or
    (status, body, headers); the last one stays. A body may be bytes, a text or anything for JSON; a list of
    ("event", data) tuples behind status "stream" becomes live events. `requests` records what came."""

    def __init__(self, answers):
        self.answers = {key: list(value) for key, value in answers.items()}
        self.requests = []
        daemon = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                path, _, query = self.path.partition("?")
                daemon.requests.append((self.command, path, query, dict(self.headers), body))
                key = f"{self.command} {path}"
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    return self.send(401, problem(401, "Unauthorized", "The token is unknown."))
                if key not in daemon.answers:
                    return self.send(404, problem(404, "Not Found", "There is nothing at this path."))
                answers = daemon.answers[key]
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if answer[0] == "stream":
                    return self.stream(answer[1])
                self.send(*answer)

            do_GET = do_POST = do_DELETE = answer

            def send(self, status, body=None, headers=()):
                if body is None:
                    data = b""
                elif isinstance(body, bytes):
                    data = body
                else:
                    data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def stream(self, events):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.chunk("retry: 2000\n\n:\n\n")
                for event, data in events:
                    text = f"id: 1\nevent: {event}\ndata: {json.dumps(data)}\n\n"
                    self.chunk(text[:7])  # events do not come in whole pieces
                    self.chunk(text[7:])
                self.chunk("")

            def chunk(self, text):
                data = text.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # clients may leave
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.server.server_close()

    def last(self, method):
        return [r for r in self.requests if r[0] == method][-1]


def problem(status, title, detail, **more):
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
