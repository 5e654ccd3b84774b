"""A web server over the listening socket it was given (sd_listen_fds(3)). It never opens one itself."""

import http.server
import os
import socket


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/interfaces":
            text = " ".join(name for _, name in socket.if_nameindex())
        elif self.path == "/outside":
            text = outside()
        else:
            text = "hello from a sandbox"
        body = (text + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def outside():
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=5).close()
        return "connected"
    except OSError as error:
        return error.strerror or str(error)


assert os.environ["LISTEN_PID"] == str(os.getpid())
assert os.environ["LISTEN_FDNAMES"] == "http"
assert os.environ["LISTEN_FDS"] == "1"
server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=3)
server.serve_forever()
