"""Drives a report's page in headless Chromium by WebDriver, with nothing but Python's own library."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

# Nothing but the page: without these Chromium calls home at each start.
FLAGS = ["--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--window-size=1400,1000"]


class Browser:
    def __init__(self, profile):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        said = iter(self.driver.stdout.readline, "")
        port = next(line for line in said if "started successfully on port" in line).rstrip(".\n").split()[-1]
        self.base = f"http://127.0.0.1:{port}/session"
        flags = FLAGS + [f"--user-data-dir={profile}"] + (["--no-sandbox"] if os.geteuid() == 0 else [])
        wish = {"alwaysMatch": {"goog:chromeOptions": {"args": flags}, "goog:loggingPrefs": {"browser": "ALL"}}}
        self.base += "/" + self.call("", {"capabilities": wish})["sessionId"]

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"})
        # A proxy of the environment is not for this.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def run(self, script, *arguments):
        return self.call("/execute/async", {"script": f"const done = arguments[arguments.length - 1]; {script}", "args": list(arguments)})

    def chrome(self, command, **parameters):
        return self.call("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def shot(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self.call("/screenshot")))

    def close(self):
        try:
            request = urllib.request.Request(self.base, method="DELETE")
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20).close()
        finally:
            self.driver.terminate()
            self.driver.wait(20)


SEARCH = """
  const words = document.getElementById("words"), began = performance.now();
  words.value = arguments[0];
  words.dispatchEvent(new Event("input", { bubbles: true }));
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const rows = [...document.querySelectorAll("details.host")].filter((row) => !row.closest("[hidden]"));
    const took = performance.now() - began;
    done({ took, shown: rows.length, names: rows.map((row) => row.querySelector(".name").textContent),
           said: document.getElementById("shown").textContent });
  }));
"""


def check(what, holds, seen=""):
    print(f"{'ok' if holds else 'not ok'}: {what}{f' ({seen})' if seen else ''}", flush=True)
    if not holds:
        check.failed += 1


check.failed = 0


def examine(browser, page, count, shots):
    began = time.monotonic()
    browser.call("/url", {"url": page.as_uri()})
    browser.run("requestAnimationFrame(() => requestAnimationFrame(done))")
    seen = f"{page.stat().st_size // 1024} KiB, {time.monotonic() - began:.1f} s"
    shown = browser.run("done(document.querySelectorAll('details.host').length)")
    check("every host of the report is on the page", shown == count, f"{shown}, {seen}")
    first = browser.run("done(document.querySelector('details.host').dataset.outcome)")
    check("the first host on it is one that failed", first == "failed", first)
    shoot(browser, shots, "light")

    for text, expected in [("pi-0007", 1), ("oslo dev unchanged", None), ("no such host", 0), ("", count)]:
        found = browser.run(SEARCH, text)
        good = found["shown"] == expected if expected is not None else 0 < found["shown"] < count // 8
        check(f"searching {text!r} finds the hosts it should", good, f"{found['shown']}, {found['took']:.0f} ms")
        if text == "oslo dev unchanged":
            check("only those that have all the words", all(name.endswith(".oslo") for name in found["names"]), found["said"])
            shoot(browser, shots, "search")
    browser.run(SEARCH, "")

    unfold = "document.querySelectorAll('.cause.failed details.host').forEach((row) => (row.open = true)); done()"
    browser.run(unfold)
    check("hostile text stays text", browser.run("done(window.hostile === undefined && !document.querySelector('img'))"))
    shoot(browser, shots, "unfolded")
    boxes = "const box = document.querySelector('input[value=%s]'); box.click(); done([...document.querySelectorAll('details.host')].filter((row) => !row.hidden).map((row) => row.dataset.outcome))"
    left = browser.run(boxes % "online")
    check("without those that are online the others are left", 0 < len(left) < count and "online" not in left, str(len(left)))
    browser.run(boxes % "online")

    strip = "done(document.querySelector('#good svg.strip').getAttribute('viewBox'))"
    before = browser.run(strip)
    browser.run("document.querySelector('input[name=scale]:not(:checked)').click(); done()")
    check("timelines can be on the other clock", before != browser.run(strip), before)
    order = "const order = document.getElementById('order'); order.value = 'took'; order.dispatchEvent(new Event('change')); done([...document.querySelectorAll('#good details.host')].map((row) => +row.dataset.took))"
    took = browser.run(order)
    check("the slowest can come first", took == sorted(took, reverse=True))
    shoot(browser, shots, "slowest", "document.getElementById('good').scrollIntoView(); done()")

    browser.chrome("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    ground = browser.run("done(getComputedStyle(document.body).backgroundColor)")
    check("it is dark where the reader wants it dark", ground == "rgb(21, 24, 28)", ground)
    shoot(browser, shots, "dark", "scrollTo(0, 0); done()")
    browser.chrome("Emulation.setEmulatedMedia", features=[])
    if shots:
        browser.chrome("Emulation.setDeviceMetricsOverride", width=420, height=900, deviceScaleFactor=1, mobile=True)
        shoot(browser, shots, "narrow")
        browser.chrome("Emulation.clearDeviceMetricsOverride")
    printed = browser.chrome("Page.printToPDF", printBackground=True, landscape=True)["data"]
    check("it can be printed", base64.b64decode(printed).startswith(b"%PDF"), f"{len(printed) // 1365} KiB")
    if shots:
        (shots / "print.pdf").write_bytes(base64.b64decode(printed))
    # A refused load or script would be told here.
    said = [line["message"] for line in browser.call("/se/log", {"type": "browser"})]
    check("the browser has nothing to complain of", not said, "; ".join(said))


def shoot(browser, shots, name, script=None):
    if script:
        browser.run(script)
    if shots:
        browser.run("requestAnimationFrame(() => requestAnimationFrame(done))")
        browser.shot(shots / f"{name}.png")


def main():
    page, count = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])
    shots = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        try:
            examine(browser, page, count, shots)
        finally:
            browser.close()
    sys.exit(1 if check.failed else 0)


main()
