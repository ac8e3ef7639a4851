"""A headless browser, controlled through its debugging pipe: it needs no package, only Chromium itself."""

import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The browser reads commands from file descriptor 3, and answers on 4.
STARTED = """
import fcntl, os, sys
high = [fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3]]
for low, one in zip((3, 4), high):
    os.dup2(one, low)
os.execv(sys.argv[3], sys.argv[3:])
"""
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)


def found():
    """The path of a Chromium; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a browser.

    Args:
        program: path of a Chromium.
        folder: the folder for its files.
    """

    def __init__(self, program, folder):
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        arguments = [program, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", STARTED, str(theirs_in), str(theirs_out), *arguments],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers, self._rest, self._session, self.events = itertools.count(1), b"", None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(domain + ".enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=1200, height=900, deviceScaleFactor=1, mobile=False)

    def ask(self, method, **parameters):
        """The answer of the browser to a command of the DevTools protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        message.update({"sessionId": self._session} if self._session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        until = time.monotonic() + 60
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0, until - time.monotonic()))
            more = os.read(self._in, 2**20) if ready else b""
            assert more, "the browser does not answer"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message.decode())

    def open(self, address):
        """Open a page, and wait until it is loaded."""
        self.events.clear()
        self.ask("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, script):
        """The value of a JavaScript expression on the page; awaits a promise."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def mouse(self, kind, x, y):
        """Move the mouse ("moved") to a window position in pixels, or click there ("pressed", "released")."""
        button = {} if kind == "moved" else {"button": "left", "clickCount": 1}
        event = {"moved": "mouseMoved", "pressed": "mousePressed", "released": "mouseReleased"}[kind]
        self.ask("Input.dispatchMouseEvent", type=event, x=x, y=y, **button)

    def said(self, *methods):
        """The events of these kinds since the page opened."""
        return [event["params"] for event in self.events if event["method"] in methods]

    def close(self):
        """End the browser and its child processes."""
        self._session = None
        self.ask("Browser.close")
        self._process.wait(20)
        os.close(self._in)
        os.close(self._out)
