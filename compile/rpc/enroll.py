# SPDX-License-Identifier: Apache-2.0
"""How to make a device of a board or a phone: the exact commands, for `mnc device enroll`.

Takes the kind of device and where the tracker is; gives the text to print. `docs/devices.md` explains it.
"""

import importlib.metadata
from pathlib import Path

from mnc.compile.rpc import rootfs
from mnc.compile.rpc.address import HOST, PORT, checked_key, warning
from mnc.support.errors import UserError

SERVER = Path(__file__).with_name("server.py")
DEVICE_FILE = "mnc_device_server.py"
SERVER_PORT = 9091
KINDS = ("linux", "ssh", "android")


def enroll(
    kind: str = "linux",
    *,
    key: str,
    login: str = "pi@raspberrypi.local",
    host: str = HOST,
    port: int = PORT,
) -> str:
    """The commands for a board that runs aarch64 Linux, in a closed network ("linux") or through an SSH
    tunnel ("ssh"), or for an Android phone on USB ("android").

    `login` is the board's USER@HOST, `host`:`port` the tracker as the board reaches it. UserError for
    another kind, and when the board could not reach the tracker.
    """
    checked_key(key)
    if kind not in KINDS:
        raise UserError(f"unknown kind of device {kind!r}; choose one of {', '.join(KINDS)}")
    if kind == "android":
        return _android(key, port)
    if kind == "ssh":
        return _ssh(key, login, port)
    if warning(host) is None:
        raise UserError(
            f"a board cannot reach a tracker at {host}: give --host with this machine's address in a closed "
            "network, or use the tunnel, which needs none: `mnc device enroll ssh`"
        )
    return _linux(key, login, host, port)


def requirements() -> str:
    """What the device's Python needs, in the versions of this environment."""
    names = (rootfs.RUNTIME, *rootfs.WHEELS)
    return " ".join(f"{name}=={importlib.metadata.version(name)}" for name in names)


def _install(login: str) -> str:
    return f"""# 1. On the board, once: Python (3.11 to 3.13, with python3-venv) and TVM's runtime in it.
ssh {login} 'python3 -m venv mnc && mnc/bin/pip install --no-deps {requirements()}'

# 2. The server: one file of ours around TVM's own, so that a crash does not end it.
scp {SERVER} {login}:{DEVICE_FILE}"""


def _loop(login: str, options: str, *, ssh_options: str = "") -> str:
    command = f"TVM_USE_RUNTIME_LIB=1 mnc/bin/python {DEVICE_FILE} {options}"
    return f"ssh {ssh_options}{login} 'while true; do {command}; sleep 1; done'"


def _linux(key: str, login: str, host: str, port: int) -> str:
    options = f"--host 0.0.0.0 --port {SERVER_PORT} --tracker {host}:{port} --key {key}"
    return f"""# An aarch64 Linux board as device {key!r}, in a network that only you use.
# TVM's RPC has no authentication: whoever reaches the ports below runs any code, as you, on both machines.
{_install(login)}

# 3. Here, a tracker that the board can reach (leave it running):
python -m tvm.exec.rpc_tracker --host {host} --port {port}

# 4. The server, registered with it (leave it running, or make a systemd unit with Restart=always of it):
{_loop(login, options)}

# 5. Here: is it all right?
mnc device list --tracker {host}:{port}
mnc doctor --target {key} --device rpc://{host}:{port}/{key}
"""


def _ssh(key: str, login: str, port: int) -> str:
    forward = f"-L {SERVER_PORT}:{HOST}:{SERVER_PORT} -R {port}:{HOST}:{port} "
    options = f"--host {HOST} --port {SERVER_PORT} --port-end {SERVER_PORT + 1}"
    options += f" --tracker {HOST}:{port} --key {key} --custom-addr {HOST}"
    return f"""# An aarch64 Linux board as device {key!r}, through SSH: no port is open to others anywhere.
{_install(login)}

# 3. Here, a tracker (leave it running):
python -m tvm.exec.rpc_tracker --host {HOST} --port {port}

# 4. The server, with the tunnel both ways: the tracker's port to the board, the server's port to here.
#    For a second board choose another port than {SERVER_PORT} in all three places.
{_loop(login, options, ssh_options=forward)}

# 5. Here: is it all right?
mnc device list --tracker {HOST}:{port}
mnc doctor --target {key} --device rpc://{HOST}:{port}/{key}
"""


def _android(key: str, port: int) -> str:
    options = f"--host {HOST} --port {SERVER_PORT} --port-end {SERVER_PORT + 1}"
    options += f" --tracker {HOST}:{port} --key {key} --custom-addr {HOST}"
    return f"""# An Android phone as device {key!r}, over USB. NOT TRIED: there was no phone to try it on.
# Needed: adb here, USB debugging allowed on the phone, and on the phone a Linux userland with glibc and
# Python, for TVM's wheels are built for glibc, not for Android's C library: in Termux, proot-distro with
# Debian 12 or 13. (The other way is TVM's own Android app or C++ RPC server, built with the NDK from
# TVM's sources: then link with --cc and the NDK's clang, and a target file with
# triple = "aarch64-linux-android24".)

# 1. On the phone, in that Debian:
python3 -m venv mnc && mnc/bin/pip install --no-deps {requirements()}

# 2. The server file, then in that Debian move it from /sdcard to the home folder:
adb push {SERVER} /sdcard/{DEVICE_FILE}

# 3. Here, a tracker (leave it running), and both ports through USB:
python -m tvm.exec.rpc_tracker --host {HOST} --port {port}
adb reverse tcp:{port} tcp:{port}
adb forward tcp:{SERVER_PORT} tcp:{SERVER_PORT}

# 4. On the phone, screen on and plugged in:
while true; do TVM_USE_RUNTIME_LIB=1 mnc/bin/python {DEVICE_FILE} {options}; sleep 1; done

# 5. Here: is it all right?
mnc device list --tracker {HOST}:{port}
mnc doctor --target {key} --device rpc://{HOST}:{port}/{key}
"""
