"""Runs in a pod that gets connections meant for a server, by ``python3 -c``. Standard library only; not imported.

Reads as JSON ``certificates`` (PEM by name), ``ports`` (how many connections by others, to each certificate, are enough
on each), ``address`` (the pod's) and ``seconds`` (after which it ends all the same). It shows the certificates in turn,
asks nobody for one, and answers every request with 503. Before it serves others it asks itself, so that each
certificate is seen to work. Prints a list of what became of each connection: ``port``, ``certificate``, ``peer``, and
``said``, the first line of the request, or ``refused`` and why the handshake ended.
"""

import json
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections import Counter
from itertools import cycle

ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
given = json.load(sys.stdin)
seen = []


def context_of(pem):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
        pair.write(pem)
        pair.flush()
        context.load_cert_chain(pair.name)
    return context


def talk(plain, context):
    plain.settimeout(10)
    try:
        with context.wrap_socket(plain, server_side=True) as channel:
            request = channel.recv(4096)
            channel.sendall(ANSWER)
    except OSError as error:
        return f"refused: {error}"
    return request.split(b"\r\n")[0].decode(errors="replace") if request else "refused: closed"


def serve(listener, port, contexts):
    for name, context in cycle(contexts.items()):
        plain, (peer, _) = listener.accept()
        threading.Thread(target=hear, args=(plain, context, port, name, peer), daemon=True).start()


def hear(plain, context, port, name, peer):
    with plain:
        seen.append({"port": port, "certificate": name, "peer": peer, "said": talk(plain, context)})


def ask_itself(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port))) as channel:
        channel.sendall(b"GET /itself HTTP/1.1\r\n\r\n")
        channel.recv(4096)


def enough():
    counted = Counter((each["port"], each["certificate"]) for each in list(seen) if each["peer"] != "127.0.0.1")
    return all(counted[int(port), name] >= wanted for port, wanted in given["ports"].items() for name in contexts)


contexts = {name: context_of(pem) for name, pem in given["certificates"].items()}
for port in map(int, given["ports"]):
    listener = socket.create_server(("127.0.0.1", port))
    threading.Thread(target=serve, args=(listener, port, contexts), daemon=True).start()
    for _ in contexts:
        ask_itself(port)
    outer = socket.create_server((given["address"], port))
    threading.Thread(target=serve, args=(outer, port, contexts), daemon=True).start()
deadline = time.monotonic() + given["seconds"]
while not enough() and time.monotonic() < deadline:
    time.sleep(0.2)
print(json.dumps(list(seen)))  # noqa: T201  # how it answers
