"""Stands on PATH as flwr-clientapp or flwr-serverapp: asks the warm parent for a fork, leaves with its exit code.

Standard library only, nothing of site-packages: see warm.py.
"""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as parent:
    directory = os.open(os.environ["SHIELDWALL_WARM_DIRECTORY"], os.O_PATH | os.O_DIRECTORY)
    parent.connect(f"/proc/self/fd/{directory}/warm.sock")
    parent.sendall(json.dumps(sys.argv).encode())
    code = parent.recv(16)
sys.exit(int(code) if code and int(code) >= 0 else 1)
