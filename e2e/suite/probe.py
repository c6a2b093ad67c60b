"""Runs in a pod, by ``python3 -c``: what can it reach? Standard library only; not imported by the suite.

Reads a list of attempts as JSON, prints a list of answers in the same order.
"""

import json
import socket
import ssl
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

SECONDS = 4.0


def attempt(wanted):
    """``open``, ``closed`` (nobody answers, or a policy drops it), ``unknown`` (a name without an address); with
    ``send``: what was answered, ``refused`` when the connection was ended, ``silent`` when it was neither."""
    try:
        plain = socket.create_connection((wanted["host"], wanted["port"]), timeout=SECONDS)
    except socket.gaierror:
        return "unknown"
    except OSError:
        return "closed"
    with plain:
        if "tls" not in wanted:
            if "send" not in wanted:
                return "open"
            return talk(plain, wanted["send"])
        return handshake(plain, wanted)


def handshake(plain, wanted):
    """A whole request over TLS: under TLS 1.3 a refusal of our certificate is told after the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if wanted["tls"]:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
            pair.write(wanted["tls"])
            pair.flush()
            context.load_cert_chain(pair.name)
    try:
        with context.wrap_socket(plain, server_hostname=wanted.get("name")) as channel:
            return talk(channel, wanted["send"])
    except TimeoutError:
        return "silent"
    except OSError as error:
        return f"refused: {type(error).__name__}"


def talk(channel, text):
    """Send, and what comes back: its first line."""
    try:
        channel.sendall(text.encode())
        answer = channel.recv(4096)
    except TimeoutError:
        return "silent"
    except OSError as error:
        return f"refused: {type(error).__name__}"
    return answer.split(b"\r\n")[0].decode(errors="replace") if answer else "refused: closed"


with ThreadPoolExecutor(64) as pool:  # what is dropped takes its whole time
    print(json.dumps(list(pool.map(attempt, json.load(sys.stdin)))))  # noqa: T201  # how it answers
