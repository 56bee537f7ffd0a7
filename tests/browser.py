"""A headless Chromium driven over its own protocol through a pipe: clicks, keys and pictures."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --hide-scrollbars --disable-background-networking --disable-component-update --disable-dev-shm-usage
    --remote-debugging-pipe about:blank"""
PATIENCE_S = 20


class Browser:
    """One Chromium; `page` opens a fresh tab of it."""

    def __init__(self, profile: Path) -> None:
        # The protocol is spoken on descriptors 3 and 4, which the shell makes of its input and output.
        self.process = subprocess.Popen(
            ["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1', CHROMIUM, *FLAGS.split(),
             f"--user-data-dir={profile}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self.numbers = itertools.count(1)
        self.rest = b""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, *, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self.events.append(answer)

    def read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            piece = self.process.stdout.read(1 << 16)
            assert piece, "the browser is gone"
            self.rest += piece
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def page(self, address: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> "Page":
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session)
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.colours(dark=dark)
        page.call("Page.navigate", url=address)
        page.wait("document.readyState === 'complete'")
        return page

    def close(self) -> None:
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Page:
    """One tab."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self.browser, self.target, self.session = browser, target, session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, session=self.session, **parameters)

    def js(self, expression: str) -> Any:
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Returns the expression's first true value (an element counts as none)."""
        end = time.monotonic() + PATIENCE_S
        while not (
            value := self.js(f"(() => {{ try {{ return {expression} }} catch {{ return null }} }})()")
        ):
            assert time.monotonic() < end, (expression, self.js("document.body.innerText"))
            time.sleep(0.03)
        return value

    def text(self, selector: str) -> str:
        return self.js(f"document.querySelector({json.dumps(selector)}).innerText")

    def says(self, selector: str, words: str) -> None:
        """Waits until the element's text has these words in it."""
        self.wait(f"document.querySelector({json.dumps(selector)}).innerText.includes({json.dumps(words)})")

    def click(self, selector: str) -> None:
        self.js(f"document.querySelector({json.dumps(selector)}).click()")

    def files(self, selector: str, *paths: Path) -> None:
        node = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self.call("DOM.setFileInputFiles", files=[str(p) for p in paths], objectId=node["result"]["objectId"])

    def press(self, key: str, *, shift: bool = False) -> None:
        letter = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        modifiers = 8 if shift else 0
        code = {"Enter": 13, "Escape": 27, "Tab": 9}.get(key, 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, modifiers=modifiers,
                  windowsVirtualKeyCode=code, **letter)  # fmt: skip
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, modifiers=modifiers)

    def mouse(self, kind: str, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def resize(self, width: int, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def colours(self, *, dark: bool) -> None:
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )

    def picture(self, path: Path, *, whole: bool = False) -> None:
        extra = {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            extra = {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **extra)["data"]))

    def happened(self, method: str) -> list[dict[str, Any]]:
        self.js("0")
        return [
            event["params"]
            for event in self.browser.events
            if event.get("method") == method and event.get("sessionId") == self.session
        ]

    def addresses(self) -> list[str]:
        """Returns everything fetched."""
        return [event["request"]["url"] for event in self.happened("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """Returns errors in the console, but for answers of the server that are errors on purpose."""
        thrown = [event["exceptionDetails"]["text"] for event in self.happened("Runtime.exceptionThrown")]
        logged = [
            event["entry"]["text"]
            for event in self.happened("Log.entryAdded")
            if event["entry"]["level"] == "error" and event["entry"]["source"] != "network"
        ]
        said = [str(event["args"]) for event in self.happened("Runtime.consoleAPICalled")
                if event["type"] in ("error", "warning", "assert")]  # fmt: skip
        return thrown + logged + said

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)
