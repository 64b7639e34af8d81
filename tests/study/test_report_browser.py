"""The report in a real browser: it fits a phone, fetches nothing, and can be read in light and in dark."""

import json
import re
import shutil
import subprocess

import made_up
import numpy as np
import pytest

from adversarium.study.report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (320, 400, 500, 1200)
NAMES = ("<script>document.title = 'taken over'</script>", "a-long-name-" * 6, *made_up.NAMES[:4])

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

# stands before everything in a copy of the page: opens what is folded, measures, and tells the page around it
PROBE = """<script>
const wrong = [];
addEventListener('error', event => wrong.push('error: ' + event.message), true);
addEventListener('securitypolicyviolation', event => wrong.push('policy: ' + event.blockedURI));
function channels(text) {  // of a computed colour: red, green, blue of 0 to 1, and how opaque
  const numbers = (text.match(/-?[0-9.]+(e-?[0-9]+)?/g) || []).map(Number);
  const parts = text.startsWith('color(') ? numbers.slice(0, 3) : numbers.slice(0, 3).map(part => part / 255);
  return [parts, numbers.length > 3 ? numbers[3] : 1];
}
function ground(element) {
  const layers = [];
  for (let each = element; each; each = each.parentElement) layers.unshift(getComputedStyle(each).backgroundColor);
  let below = matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [1, 1, 1];
  for (const layer of layers) {
    const [parts, opaque] = channels(layer);
    below = below.map((part, at) => part * (1 - opaque) + parts[at] * opaque);
  }
  return below;
}
function luminance(parts) {
  const linear = parts.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
function contrasts() {
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || element.closest('title') || !element.getClientRects().length) continue;
    const style = getComputedStyle(element), inSvg = element.closest('svg');
    const [ink, paper] = [channels(inSvg ? style.fill : style.color)[0], ground(element)].map(luminance);
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) found.push(walk.currentNode.data.trim().slice(0, 30) + ': ' + ratio.toFixed(2));
  }
  return found;
}
addEventListener('load', () => {
  document.querySelectorAll('details').forEach(each => { each.open = true; });
  const over = [...document.querySelectorAll('body *')].filter(each =>
    !each.closest('svg') && !each.closest('.scroll') && !each.closest('.figure') && !each.hidden
    && each.getBoundingClientRect().right > innerWidth + 1);
  parent.postMessage(JSON.stringify({
    asked: innerWidth, wide: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight,
    title: document.title, over: over.map(each => each.outerHTML.slice(0, 120)),
    images: [...document.images].map(each => each.complete && each.naturalWidth > 0),
    fetched: performance.getEntriesByType('resource').map(each => each.name).filter(name => !name.startsWith('data:')),
    dark: matchMedia('(prefers-color-scheme: dark)').matches, faint: contrasts(), wrong,
  }), '*');
});
</script>"""

AROUND = """<!DOCTYPE html><body><pre id="found">[]</pre><script>
const found = [];
addEventListener('message', event => {
  found.push(JSON.parse(event.data));
  document.getElementById('found').textContent = JSON.stringify(found);
});
</script>%s</body>"""


def browse(folder, page, *, dark):
    """Return what the probe found at each width, and what the browser wrote to its console."""
    text = page.read_text(encoding="utf-8")
    (folder / "probed.html").write_text(text.replace("<head>", f"<head>{PROBE}", 1), encoding="utf-8")
    frames = "".join(
        f'<iframe src="probed.html" width="{width}" height="900" style="border:0"></iframe>' for width in WIDTHS
    )
    (folder / "around.html").write_text(AROUND % frames, encoding="utf-8")
    profile = folder / f"profile{dark}"
    command = [
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"),
        *("--window-size=1300,1000", "--enable-logging=stderr", "--virtual-time-budget=4000"),
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        *("--dump-dom", (folder / "around.html").as_uri()),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    dumped = re.search(r'<pre id="found">(.*?)</pre>', ended.stdout, re.DOTALL)[1]
    console = [line for line in ended.stderr.splitlines() if ":CONSOLE" in line]
    unescaped = dumped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return {each["asked"]: each for each in json.loads(unescaped)}, console


@pytest.fixture(scope="module", params=["points", "images"])
def page(request, tmp_path_factory):
    rng = np.random.default_rng(5)
    images = request.param == "images"
    records = made_up.records_of(rng, methods=NAMES, images=images, failing=0.3)
    return write_report(
        tmp_path_factory.mktemp(request.param),
        made_up.plan_of(records, trials=0 if images else 8),
        records,
        made_up.comparison_of(records),
        chosen=None if images else made_up.trials_of(rng, NAMES),
        real=records[0].samples if images else made_up.real_ring(rng),
    )


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_and_can_be_read(page, dark, tmp_path):
    found, console = browse(tmp_path, page, dark=dark)
    assert sorted(found) == sorted(WIDTHS)
    assert not console
    for width, each in found.items():
        assert each["dark"] == dark
        assert each["wide"] <= width, each["over"][:5]
        assert not each["over"]
        assert all(each["images"])
        assert bool(each["images"]) == ("images" in str(page))
        assert not each["fetched"]
        assert not each["wrong"]
        assert not each["faint"], each["faint"]
        assert each["title"] == "Which method for ring?"
    assert found[320]["height"] > found[1200]["height"]
