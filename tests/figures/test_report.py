"""The report: what it holds, what it says of what isn't there, and that nothing in it needs or runs anything else."""

import base64
import gzip
import json
import re
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from figures import report
from figures.page import markup, neuron, sections
from figures.pictures import catalogue
from tables.schema import IDENTITY
from tests.figure_tables import complete, made_up, write

pytestmark = pytest.mark.filterwarnings("error")
DRAWN = ("surfaces", "scalability", "steps")
PICTURES = {one.name: one for one in catalogue.PICTURES}
TABLES = 7  # networks, what speaks first, flatness, the rest of the comparison, beside the paper, tables, checkpoints
VOID = {"meta", "link", "br", "img"}
VERSIONS = {"snn-landscape": "0.1.0", "python": "3.11.7"}


@pytest.fixture(autouse=True)
def few():
    """Few pictures, for speed; the tests of the pictures draw them all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "PICTURES", tuple(one for one in catalogue.PICTURES if one.name in DRAWN))
        yield


def records(folder, frames, digests=None):
    """A record beside every table of ``folder``; ``digests`` are the checkpoints' by table."""
    for name, frame in frames.items():
        paths = sorted(set(frame["checkpoint"])) if "checkpoint" in frame else []
        found = {path: (digests or {}).get(name, f"{path}-hash") for path in paths}
        record = {
            "settings": {"images": 200},
            "checkpoints": found,
            "versions": VERSIONS,
            "machine": "m",
            "seconds": 1.5,
            "tables": {name: sha256((folder / "tables" / f"{name}.csv").read_bytes()).hexdigest(), "other": "-"},
        }
        (folder / "tables" / f"{name}.json").write_text(json.dumps(record))
    return folder


def small(seeds=3):
    frames = complete(seeds=seeds)
    names = ("surface", "timesteps", "steps", "energy", "history", "compare", "correlation")
    return {name: frames[name] for name in names}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    frames = small()
    folder = records(write(tmp_path_factory.mktemp("report"), frames), frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "PICTURES", tuple(one for one in catalogue.PICTURES if one.name in DRAWN))
        assert report.main([str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def seen(text):
    return Seen(own(text))


def own(text):
    """The page without plotly.js and the surfaces' data."""
    return re.sub(r'<script type="text/plain".*?</script>', "", text, flags=re.S)


class Seen(HTMLParser):
    """Every element with its attributes, and whether tags are nested properly."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_every_section_is_there_and_the_tags_are_nested(seen):
    assert seen.open == []
    titles = ["comparison", "figures", "controls", "generalization", "beside-the-paper", "methods", "provenance"]
    assert [one["id"] for one in seen.all("h2")] == titles
    ids = [one["id"] for _, one in seen.elements if "id" in one]
    assert len(ids) == len(set(ids))
    links = {one["href"] for one in seen.all("a")}
    assert {f"#{title}" for title in titles} | {"#made-timesteps"} <= links
    assert {link[1:] for link in links} <= set(ids)


def test_tables_have_captions_scopes_and_a_box_that_scrolls(seen, text):
    assert len(seen.all("table")) == len(seen.all("caption")) == TABLES
    assert all(one["scope"] in ("col", "row") for one in seen.all("th"))
    assert all(one["data-column"] for one in seen.all("td"))
    boxes = [one for one in seen.all("div") if one.get("class") == "wide"]
    assert len(boxes) == TABLES + len(DRAWN)
    assert all(one["tabindex"] == "0" and one["role"] == "group" and one["aria-label"] for one in boxes)
    assert text.count('<div class="wide"') == len(boxes)


def test_every_picture_has_its_reading_caption_and_words_for_who_cannot_see_it(seen, text):
    images = seen.all("img")
    assert len(images) == len(DRAWN)
    for image in images:
        kind, _, drawn = image["src"].partition(";base64,")
        begins = {"data:image/svg+xml": b"<?xml", "data:image/webp": b"RIFF"}[kind]
        assert base64.b64decode(drawn).startswith(begins)
    surfaces, lines, _ = (image["alt"] for image in images)
    assert surfaces == (
        "Loss surfaces around the weights: 6 panels (trained with SDT (n = 3) SDT loss; trained with TET (n = 3) SDT "
        "loss; TET − SDT SDT loss; trained with SDT (n = 3) TET loss; trained with TET (n = 3) TET loss; TET − SDT TET "
        "loss), β against α, in colour rise on training examples (nats); difference of rises (nats)."
    )
    assert lines == (
        "Accuracy against the number of timesteps: accuracy (%) against timesteps T at inference, showing SDT, "
        "n = 3; TET, n = 3; faint: train."
    )
    assert "<figcaption>Rise of the loss above the trained weights at (0, 0): mean over seeds" in text
    assert markup.prose(PICTURES["scalability"].read(small())) in text


def test_a_reading_that_lacks_its_table_is_said_to(text):
    (article,) = re.findall(r'<article id="figure-surfaces">.*?</article>', text, re.S)
    assert "No reading: the comparison has no row rise_within[plane,0.5]." in article


def test_what_was_measured_and_where_it_ended_is_in_a_table(text):
    last = small()["history"].query("epoch == 30 and method == 'tet'")["train_loss_sdt"]
    assert "0, 1, 2 (n = 3)" in text
    assert f">{last.mean():.3g} (" in text


def test_the_comparison_has_its_doubts_and_never_more_than_its_interval(text):
    found = re.findall(r'<table class="comparison">.*?</table>', text, re.S)
    assert [re.findall(r"<caption>(.*?)</caption>", table) for table in found] == [
        ["Flatness (less is flatter), means over seeds"],
        ["Everything else, means over seeds"],
    ]
    assert "<summary>Everything else: 1 row</summary>" in text
    rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", "".join(found))
    ]
    columns, body = rows[0], [dict(zip(rows[0], row, strict=True)) for row in rows[1:] if row != rows[0]]
    assert columns[-1] == "doubts (trust)"
    assert len(body) == len(small()["compare"])
    for row in body:
        low, high = (float(end.replace("−", "-")) for end in row["95 % interval"].split("…"))
        assert ("can&#x27;t be told apart" in row["finding"]) == (low <= 0 <= high)
    doubts = {one.replace("interval contains zero", "").strip("; ") for one in small()["compare"]["trust"]}
    assert {row["doubts (trust)"] for row in body} == {one or "none found" for one in doubts}


def test_provenance_names_every_table_checkpoint_version_and_second(text):
    for words in (
        "timesteps.csv",
        "runs/tet-2/ckpt.pt-hash",
        "snn-landscape 0.1.0, python 3.11.7; m",
        '"seconds">1.5</td>',
    ):
        assert words in text
    assert "images 200" in text
    assert "another content" not in text


def test_no_line_breaks_inside_a_number_with_its_sign():
    shown = markup.prose("at T = 4 (95 % interval −1 … 2, n = 3) <b>")
    assert shown == "at T\u00a0=\u00a04 (95\u00a0% interval −1\u00a0…\u00a02, n\u00a0=\u00a03) &lt;b&gt;"


def test_versions_stand_beside_each_table_only_where_they_differ(text, tmp_path):
    assert text.count("python 3.11.7") == 1
    frames = {name: small(1)[name] for name in ("energy", "steps")}
    records(write(tmp_path, frames), frames)
    record = tmp_path / "tables" / "steps.json"
    record.write_text(record.read_text().replace("3.11.7", "3.12.0"))
    assert report.main([str(tmp_path)]) == 0
    both = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(r'energy\.csv</span>.*?"made with">[^<]*python 3\.11\.7; m</td>.*?3\.12\.0; m</td>', both)
    assert "All tables were made with" not in both


def test_nothing_is_loaded_from_elsewhere(text):
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r";base64,[\w+/=]+", "", own(text)))
    assert "default-src 'none'" in text
    assert len(own(text)) < 2_000_000


def test_plotly_is_there_once_and_joins_the_page_of_the_surfaces(text):
    (data,) = re.findall(r'id="surfaces-data">(.*?)</script>', text, re.S)
    held = json.loads(gzip.decompress(base64.b64decode(data)))
    assert held["library"] == get_plotlyjs()
    ((before, after),) = held["pages"]
    assert before.startswith("<!DOCTYPE html>")
    assert '<script type="application/json" id="data">' in after
    assert len(data) < 0.45 * len(get_plotlyjs())


def test_the_same_tables_give_the_same_page(folder, text, tmp_path):
    frames = small()
    records(write(tmp_path, frames), frames)
    assert report.main([str(tmp_path)]) == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text


def test_text_is_dark_enough_to_read():
    style = report.command._TEMPLATE.read_text(encoding="utf-8")
    for colour in set(re.findall(r"[^-]color: (#[0-9a-f]{6})", style)):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        assert 1.05 / (np.dot([0.2126, 0.7152, 0.0722], linear) + 0.05) >= 4.5, colour


def test_every_picture_has_a_name_a_heading_and_a_place_of_its_own():
    assert len(PICTURES) == len({one.order for one in PICTURES.values()}) == 37
    headings = [one.heading for one in PICTURES.values()]
    assert all(headings)
    assert len(set(headings)) == len(headings)


def test_names_from_tables_and_records_are_no_markup(tmp_path):
    frames = {"timesteps": made_up(seeds=2)["timesteps"].assign(network="<script>alert(1)</script>", data="a<b>")}
    records(write(tmp_path, frames), frames, {"timesteps": "<img src=x>"})
    assert report.main([str(tmp_path)]) == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "a<b>" not in text
    assert Seen(own(text)).open == []


def test_missing_tables_are_said_on_the_page(tmp_path, capsys):
    write(tmp_path, {"timesteps": made_up(seeds=1)["timesteps"]})
    assert report.main([str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Loss surfaces around the weights: no usable table surface" in text
    assert "No usable table compare" in text
    assert "Not answered: needs the table compare" in text
    assert "no record" in text
    assert "surfaces-data" not in text
    assert "one seed" in text


def test_a_garbled_table_costs_its_parts_and_one_line(tmp_path, capsys):
    frames = small(2)
    write(tmp_path, frames)
    (tmp_path / "tables" / "surface.csv").write_text("checkpoint,network\na,b,c\n")
    (tmp_path / "tables" / "steps.json").write_text('{"settings": {}')
    assert report.main([str(tmp_path)]) == 0
    one, other = capsys.readouterr().err.splitlines()
    assert "surface.csv: line 2 has 3 fields, the header 2" in one
    assert "steps.json: not a record of settings" in other
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "line 2 has 3 fields" in text
    assert "not a record" in text


@pytest.mark.parametrize("content", ["", "garbled", "a,b\n1,2\n", "\x00\xff"])
def test_no_usable_table_is_a_line_and_exit_1(tmp_path, capsys, content):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "timesteps.csv").write_text(content)
    assert report.main([str(tmp_path)]) == 1
    first, last = capsys.readouterr().err.splitlines()
    assert "timesteps.csv" in first
    assert "no usable table" in last
    assert not (tmp_path / "report.html").exists()


def test_no_folder_and_no_place_are_one_line_and_exit_1(tmp_path, capsys):
    assert report.main([str(tmp_path / "nowhere")]) == 1
    write(tmp_path, {"timesteps": made_up(seeds=1)["timesteps"]})
    (tmp_path / "report.html").mkdir()
    assert report.main([str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "is no folder" in lines[0]


def test_a_checkpoint_that_changed_between_tables_is_said_to_have(tmp_path):
    frames = {name: small(1)[name] for name in ("timesteps", "steps")}
    records(write(tmp_path, frames), frames, {"steps": "other"})
    assert report.main([str(tmp_path)]) == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "timesteps: another content than in other tables" in text


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["steps"], "steps.csv was changed since the record beside it was written."),
        (["steps", "timesteps"], "steps.csv and timesteps.csv were changed since the record beside them was written."),
    ],
)
def test_tables_that_were_changed_since_are_drawn_and_named(names, says, tmp_path, capsys):
    frames = {name: small(1)[name] for name in ("energy", "steps", "timesteps")}
    records(write(tmp_path, frames), frames)
    write(tmp_path, {name: frames[name].assign(seed=7) for name in names})
    assert report.main([str(tmp_path)]) == 0
    assert capsys.readouterr().err == f"python -m figures.report: {says}\n"
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count(says) == 1
    assert 'id="figure-steps"' in text


def test_records_without_a_hash_of_their_table_say_nothing_of_it(tmp_path, capsys):
    frames = {"energy": small(1)["energy"]}
    records(write(tmp_path, frames), frames)
    record = tmp_path / "tables" / "energy.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "tables": {}}))
    write(tmp_path, {"energy": frames["energy"].assign(seed=7)})
    assert report.main([str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""


def test_networks_are_kept_apart(tmp_path):
    frames = small(2)
    del frames["surface"]
    both = {
        name: pd.concat([one, one.assign(network="vgg")]) if "network" in one else one for name, one in frames.items()
    }
    write(tmp_path, both)
    assert report.main([str(tmp_path)]) == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for name in ("digits-cnn", "vgg"):
        assert f"<h3>{name} on digits</h3>" in text
        assert f'id="figure-scalability-{name}-digits"' in text
    assert "<title>SDT and TET: digits-cnn on digits and vgg on digits – snn-landscape</title>" in text


@pytest.mark.parametrize(("varied", "says"), [(True, "over training sets too"), (False, "about that one training set")])
def test_what_intervals_are_conditional_on_is_said(varied, says):
    tables = made_up(seeds=2)
    runs = tables["history"].drop_duplicates("checkpoint")[list(IDENTITY)]
    assert says in sections.networks(tables | {"settings": runs.assign(vary_data=varied)})
    assert "intervals over seeds are" not in sections.networks(tables)


def test_a_neuron_is_described_where_it_is_that_of_the_networks():
    settings = pd.DataFrame({"decay": [0.5, None], "spiking": [True, False]})
    assert "Leaky integrate-and-fire" in neuron.described({"settings": settings})
    theirs = settings.assign(decay=None)
    assert "as given" in neuron.described({"settings": theirs})
    assert neuron.described({"settings": theirs.assign(spiking=False)}) == ""
