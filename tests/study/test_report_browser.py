"""The report in a real browser: it fits a phone, fetches nothing, and can be read in light and in dark."""

import dataclasses
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
function hinted(frame) {  // whether a frame that scrolls says so
  const hint = getComputedStyle(frame, '::before');
  return hint.visibility === 'visible' && parseFloat(hint.height) > 5;
}
addEventListener('load', () => {
  document.querySelectorAll('details').forEach(each => { each.open = true; });
  setTimeout(measure, 800);  // when the frames that scroll are known to
});
function measure() {
  const all = [...document.querySelectorAll('body *')].filter(each => each.getClientRects().length && !each.hidden);
  const over = all.filter(each => !each.closest('.scroll :not(svg)') && !each.closest('svg.row')
    && (each.getBoundingClientRect().right > innerWidth + 1 || each.getBoundingClientRect().left < -1));
  const cut = all.filter(each => !each.closest('svg') && !each.matches('.scroll') && each.clientWidth > 1
    && getComputedStyle(each).overflowX !== 'visible' && each.scrollWidth > each.clientWidth + 1);
  const frames = all.filter(each => each.matches('.scroll'));
  parent.postMessage(JSON.stringify({
    asked: innerWidth, wide: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight,
    title: document.title, over: over.map(each => each.outerHTML.slice(0, 120)),
    images: [...document.images].map(each => each.complete && each.naturalWidth > 0),
    fetched: performance.getEntriesByType('resource').map(each => each.name).filter(name => !name.startsWith('data:')),
    dark: matchMedia('(prefers-color-scheme: dark)').matches, faint: contrasts(), wrong,
    cut: cut.map(each => each.outerHTML.slice(0, 120)),
    scrolls: frames.filter(each => each.scrollWidth > each.clientWidth).length,
    unhinted: frames.filter(each => hinted(each) !== each.scrollWidth > each.clientWidth)
      .map(each => `${each.ariaLabel}: ${each.scrollWidth} in ${each.clientWidth}`),
    pictures: [...document.querySelectorAll('.figure svg, .ranking.narrow, table.cells .self, .beats')]
      .filter(each => each.getClientRects().length).map(each => each.getAttribute('class') || each.localName),
    small: Math.min(...all.filter(each => each.closest('.figure') && each.localName === 'text')
      .map(each => each.getBoundingClientRect().height)),
  }), '*');
}
</script>"""

AROUND = """<!DOCTYPE html><body><pre id="found">[]</pre><script>
const found = [];
addEventListener('message', event => {
  found.push(JSON.parse(event.data));
  document.getElementById('found').textContent = JSON.stringify(found);
});
</script>%s</body>"""


def browse(folder, page, *, dark, widths=WIDTHS):
    """Return what the probe found at each width, and what the browser wrote to its console."""
    text = page.read_text(encoding="utf-8")
    (folder / "probed.html").write_text(text.replace("<head>", f"<head>{PROBE}", 1), encoding="utf-8")
    frames = "".join(
        f'<iframe src="probed.html" width="{width}" height="900" style="border:0"></iframe>' for width in widths
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


def test_nothing_is_wider_than_a_phone_and_what_scrolls_says_so(tmp_path):
    """Many methods, long names, one that fails always, and a pair that is told apart."""
    names = (*made_up.NAMES[:9], "wgan-gp-extraadam", "packed discriminator with spectral norm", "x" * 80)
    rng = np.random.default_rng(4)
    made = made_up.records_of(rng, methods=names, seeds=12, failing=0)
    records = [
        dataclasses.replace(each, value=None, curve=each.curve[:2], why="no memory") if each.method == "gan" else each
        for each in made
    ]
    page = write_report(tmp_path / "study", made_up.plan_of(records), records, made_up.comparison_of(records))
    found, _ = browse(tmp_path, page, dark=False, widths=(400, 1200))
    phone = found[400]
    assert phone["wide"] <= 400
    assert not phone["over"], phone["over"][:5]
    assert not phone["cut"], phone["cut"][:5]
    assert phone["scrolls"] > 2
    assert not phone["unhinted"]
    assert phone["pictures"] == ["beats", "ranking narrow"]
    assert set(found[1200]["pictures"]) == {"self", "svg"}
    assert found[1200]["small"] >= 9  # pixels of the letters in the diagram
