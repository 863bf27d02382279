"""Headless Chromium with WebGPU on its software renderer, steered over a pipe (DevTools protocol; standard library only).

  with Chromium() as browser:
      page = browser.open("http://localhost:8000/")
      page.evaluate("document.title")                 # promises are waited for; what they throw is a PageError
"""
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

FLAGS = ["--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-dev-shm-usage", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--remote-debugging-pipe"]


class PageError(Exception):
    pass


class Chromium:
    def __init__(self, program=None, flags=(), seconds=300):
        self.program = program or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if not self.program:
            raise RuntimeError("no chromium on this machine")
        self.flags, self.seconds = flags, seconds
        self.messages, self.console, self.next_id = [], [], 0
        self.buffer = b""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pixellm-chromium-", ignore_cleanup_errors=True)
        to_read, self.to = os.pipe()
        self.source, from_write = os.pipe()

        def plumb():   # the protocol's pipe is descriptors 3 and 4
            a, b = fcntl.fcntl(to_read, fcntl.F_DUPFD, 10), fcntl.fcntl(from_write, fcntl.F_DUPFD, 10)
            os.dup2(a, 3)
            os.dup2(b, 4)
        self.process = subprocess.Popen(
            [self.program, *FLAGS, f"--user-data-dir={self.folder.name}", *self.flags, "about:blank"], preexec_fn=plumb, close_fds=False,
            start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        return self

    def __exit__(self, *_):
        try:
            self.send("Browser.close")
            self.process.wait(10)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)   # its own session: nobody else's processes
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.to)
        os.close(self.source)
        self.folder.cleanup()

    # ---- the protocol: JSON messages that end with a zero byte

    def send(self, method, session=None, **params):
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        return self.next_id

    def receive(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.source], [], [], left)[0]:
                raise RuntimeError("chromium does not answer")
            data = os.read(self.source, 1 << 16)
            if not data:
                raise RuntimeError("chromium ended")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(line)
        if message.get("method") == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(a.get("value", a.get("description"))) for a in message["params"]["args"]))
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description") or details["text"])
        return message

    def call(self, method, session=None, **params):
        wanted, deadline = self.send(method, session, **params), time.monotonic() + self.seconds
        while True:
            message = self.receive(deadline)
            if message.get("id") == wanted:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    def open(self, url):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, target)
        page.call("Page.enable")
        page.call("Runtime.enable")
        page.go(url)
        return page


class Page:
    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def go(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of an expression, which may contain await."""
        result = self.call("Runtime.evaluate", expression=f"(async () => ({expression}))()", awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description") or details["text"])
        return result["result"].get("value")

    def wait(self, condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                raise RuntimeError(f"still not: {condition}; console: {self.browser.console[-5:]}")
            time.sleep(0.05)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
