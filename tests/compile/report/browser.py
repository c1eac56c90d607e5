# SPDX-License-Identifier: Apache-2.0
"""A real headless Chromium, spoken to over the DevTools pipe; the network is blocked.

Takes the path of a page; gives what it asked for and logged, what a script in it finds, and screenshots.
"""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(shutil.which, ("chromium", "chromium-browser", "google-chrome")), None)
FLAGS = (
    "--headless=new --disable-gpu --hide-scrollbars --no-first-run --remote-debugging-pipe"
    " --disable-background-networking --disable-component-update --disable-dev-shm-usage"
).split()


class Page:
    """An open tab. `requests` are the addresses asked for, `complaints` what the console said."""

    def __init__(self, to: int, back: int) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._to, self._back = to, back
        self._number, self._left, self._session = 0, b"", ""
        self._seen: set[str] = set()

    def open(self, path: Path) -> None:
        """Load the page and wait until it has."""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")
        self._ask(
            "Network.emulateNetworkConditions",
            offline=True,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )
        self._ask("Page.navigate", url=path.resolve().as_uri())
        while "Page.loadEventFired" not in self._seen:
            self._note(self._receive())

    def look(self, *, width: int, dark: bool = False) -> None:
        """Take the size of a screen `width` CSS pixels wide, and its colours."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> bytes:
        """A PNG of the whole page, written to `path` as well."""
        answer = self._ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path.read_bytes()

    def _ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _receive(self) -> Any:
        while b"\0" not in self._left:
            data = os.read(self._back, 1 << 16)
            assert data, "the browser has gone"
            self._left += data
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)

    def _note(self, message: Any) -> None:
        method, params = message.get("method", ""), message.get("params", {})
        self._seen.add(method)
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        if method in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}:
            self.complaints.append(json.dumps(params))


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser of one's own, its settings in the new folder `profile`."""
    assert CHROMIUM is not None
    (read_here, write_there), (read_there, write_here) = os.pipe(), os.pipe()
    there = [fcntl.fcntl(end, fcntl.F_DUPFD, 30) for end in (read_there, write_there)]
    for end in (read_there, write_there):
        os.close(end)
    flags = [*FLAGS, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    process = subprocess.Popen(  # Chromium reads commands from descriptor 3 and answers on 4
        ["bash", "-c", f'exec "$@" 3<&{there[0]} 4>&{there[1]}', "-", CHROMIUM, *flags],
        pass_fds=there,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in there:
        os.close(end)
    try:
        yield Page(write_here, read_here)
    finally:
        process.terminate()
        process.wait()
        os.close(write_here)
        os.close(read_here)
