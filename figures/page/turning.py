"""Surfaces to turn inside another page: the pages of :mod:`figures.interactive`, opened in a frame when asked for.

plotly.js (4.8 MB, packed 1.9) is there once, however many pages there are, and is joined with one only when a reader
opens it; until then it costs no time. The frame is a document of its own, under the content security policy of the page
that holds it. On paper the static picture beside it stands for it.
"""

import base64
import gzip
import json
from pathlib import Path

from plotly.offline import get_plotlyjs

from tables import reading as tables
from tables import rows

from .. import interactive
from ..views import views
from ..words.comparison import Tables

_PLACE = (
    '<details class="turn"><summary>Turn these surfaces (interactive, needs scripts)</summary>'
    '<div data-page="{}"></div></details><p class="printed quiet">On screen these surfaces can be turned.</p>'
)
_SCRIPT = """
"use strict";
for (const box of document.querySelectorAll("details.turn")) box.addEventListener("toggle", async () => {
  const place = box.querySelector("[data-page]");
  if (!box.open || place.dataset.begun) return;
  place.dataset.begun = "yes";
  const packed = Uint8Array.from(atob(document.getElementById("surfaces-data").textContent), one => one.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const {library, pages} = JSON.parse(await new Response(stream).text());
  const frame = document.createElement("iframe");
  frame.title = "Surfaces to turn: " + box.closest("article").querySelector("h3").textContent;
  frame.srcdoc = pages[place.dataset.page].join(library);
  frame.addEventListener("load", () => {
    const {body} = frame.contentDocument;
    new ResizeObserver(() => { frame.style.height = body.scrollHeight + 4 + "px"; }).observe(body);
  });
  place.append(frame);
});
"""


def surfaces(directory: Path, found: Tables) -> tuple[dict[str, str], str]:
    """A place to turn the surfaces, by the name of the picture it belongs to, and the scripts that fill it when opened.

    Both are empty where no plane can be drawn.
    """
    places: dict[str, str] = {}
    pages: list[list[str]] = []
    library = get_plotlyjs()
    for suffix, part in rows.families(found["surface"]) if "surface" in found else ():
        try:
            whole = interactive.page(part, views(part), images=interactive.measured_images(directory))
        except tables.TableError:
            continue  # the static picture's line says why
        places[f"surfaces{suffix}"] = _PLACE.format(len(pages))
        pages.append(whole.split(library, 1))
    if not pages:
        return {}, ""
    held = json.dumps({"library": library, "pages": pages}, ensure_ascii=False, separators=(",", ":"))
    data = base64.b64encode(gzip.compress(held.encode(), 9, mtime=0)).decode()
    return places, f'<script type="text/plain" id="surfaces-data">{data}</script><script>{_SCRIPT}</script>'
