"""Flame graphs: the boxes are the call tree, labels stay inside their boxes, and any name
makes a well-formed file."""

import time
import xml.dom.minidom

import numpy as np
import pytest
from pprofs import profile

import cprof

pytest.importorskip("matplotlib")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from cprof import plot

STACKS = {"main@prog;hot@prog": 70, "main@prog;cold@lib.so": 29, "[lost]@": 1}


def boxes(ax, digits=6):
    """(left, right, bottom, top) of every frame drawn, with at most a pixel's gap behind it."""
    collections = [c for c in ax.collections if isinstance(c, PolyCollection)]
    paths = [path.get_extents() for c in collections for path in c.get_paths()]
    return sorted((round(b.x0, digits), round(b.x1, digits), b.y0, round(b.y1)) for b in paths)


def labels(ax):
    return {text.get_text() for text in ax.texts}


@pytest.fixture
def ax():
    return Figure(figsize=(10, 3)).add_axes((0, 0.1, 1, 0.7))


def test_the_boxes_are_the_call_tree(ax):
    assert profile(STACKS).flamegraph(ax) is ax
    assert boxes(ax, 2) == [(0, 0.7, 1, 2), (0, 0.99, 0, 1), (0.7, 0.99, 1, 2), (0.99, 1, 0, 1)]
    assert {"main", "hot", "cold"} <= labels(ax)


def test_inverted_the_root_is_on_top(ax):
    profile(STACKS).flamegraph(ax, invert=True)
    assert (0, 0.99, 1, 2) in boxes(ax, 2)


def test_the_title_tells_samples_duration_and_loss(ax):
    profile(STACKS, seconds=2.0).flamegraph(ax)
    (facts,) = [text for text in labels(ax) if "samples" in text]
    for part in ("99 samples", "2.00 s", "lost", "complete"):
        assert part in facts
    profile(STACKS).flamegraph(ax, title="before $x$")
    assert "before $x$" in labels(ax)


def test_what_is_wrong_with_stacks_is_under_the_title(ax):
    profile({"main@prog": 90, "[no unwind info]@;f@lib.so": 10}).flamegraph(ax)
    (facts,) = [text for text in labels(ax) if "samples" in text]
    assert "90.0 % complete stacks \N{MIDDLE DOT} 10.0 % no_info" in facts


def test_narrow_frames_are_left_out_and_counted(ax):
    stacks = {"main@p;big@p": 1_000_000} | {f"main@p;f{i}@p": 1 for i in range(50)}
    profile(stacks).flamegraph(ax)
    assert len(boxes(ax)) == 2
    assert "50 frames too small to draw" in labels(ax)


def test_hair_thin_spires_do_not_make_the_picture_tall(ax):
    spire = ";".join(["main@p", *(f"s{i}@p" for i in range(200))])
    p = profile({"main@p;hot@p": 9980, spire: 20})
    p.flamegraph(ax)
    assert ax.get_ylim()[1] == 30
    assert "171 frames too small to draw" in labels(ax)
    assert len(boxes(ax)) == 31


def test_labels_fit_their_boxes(ax):
    ax.figure.set_size_inches(40, 3)
    names = ["x" * n for n in range(1, 60)] + ["ns::T<int, char>::method(int)", "WWWWWWWWWW"]
    profile({f"main@p;{name}@p": i + 1 for i, name in enumerate(names)}).flamegraph(ax)
    figure = ax.figure
    figure.set_dpi(100)
    renderer = FigureCanvasAgg(figure).get_renderer()
    spans = [
        (ax.transData.transform((left, bottom)), ax.transData.transform((right, top)))
        for left, right, bottom, top in boxes(ax)
    ]
    checked = 0
    for text in ax.texts:
        if text.get_transform() != ax.transData:
            continue
        box = text.get_window_extent(renderer)
        assert any(
            low[0] <= box.x0 and box.x1 <= high[0] + 1 and low[1] < box.y0 < high[1]
            for low, high in spans
        ), text.get_text()
        checked += 1
    assert checked > 10


@pytest.mark.parametrize(
    "text", ["parse(int)", "\N{LATIN SMALL LETTER E WITH ACUTE}\u0301", "\u05d0"]
)
def test_a_label_is_drawn_where_text_would_be(text):
    """From shared outlines where it is simple, else by matplotlib: nearly the same ink."""
    from matplotlib.text import Text

    from cprof.plot_label import Label

    def ink(artist):
        figure = Figure(figsize=(2, 0.5), dpi=100)
        figure.add_artist(artist)
        FigureCanvasAgg(figure).draw()
        dark = 255 - np.asarray(figure.canvas.buffer_rgba())[:, :, 0].astype(int)
        rows, columns = np.nonzero(dark > 60)
        return np.array([rows.min(), rows.max(), columns.min(), columns.max(), dark.sum() / 1000])

    drawn = ink(Label(0.1, 0.5, text, 7.5, "black"))
    plain = ink(Text(0.1, 0.5, text, fontsize=7.5, va="center_baseline", fontfamily="DejaVu Sans"))
    assert drawn[:4] == pytest.approx(plain[:4], abs=4)
    assert drawn[4] == pytest.approx(plain[4], rel=0.2)


def test_labels_of_a_figure_are_soon_drawn(ax):
    """Outlines are made once: it takes a tenth of the time of texts."""
    from cprof.plot_label import Label

    spent = []
    for make, n in ((lambda y: Label(0, y, "parse(int)", 7.5, "black"), 60),
                    (lambda y: ax.text(0, y, "parse(int)", fontsize=7.5), 60)):  # fmt: skip
        ax.clear()
        for i in range(n):
            ax.add_artist(make(i / n))
        canvas = FigureCanvasAgg(ax.figure)
        start = time.process_time()
        canvas.draw()
        spent.append(time.process_time() - start)
    assert spent[0] < spent[1] / 2


def test_no_samples_make_a_picture_that_says_so(ax):
    profile({"f@p": 1}).filter(under="nothing").flamegraph(ax)
    assert "no samples" in labels(ax)


HOSTILE = ["$a_{b$", "<script>&\"'", "ctrl\x01\x1b[0m", "日本語", "a\\b%c#d", "\ufffe", "x" * 5000]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_makes_well_formed_files(name, tmp_path, recwarn):
    p = profile({f"main@mod$<;{name}@{name[:9]}": 10})
    p.write(tmp_path / "a.svg")
    p.write(tmp_path / "a.png")
    xml.dom.minidom.parse(str(tmp_path / "a.svg"))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert not [w for w in recwarn if "lyph" in str(w.message)]


def test_text_in_an_svg_stays_text_and_the_file_is_reproducible(tmp_path):
    p = profile(STACKS)
    first, second = (plot.render(p, 1, "svg") for _ in range(2))
    assert first == second
    assert b">hot</text>" in first


def test_files_leave_no_figure_behind(tmp_path):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    profile(STACKS).write(tmp_path / "a.png")
    assert plt.get_fignums() == before


def test_without_axes_a_new_figure_is_made():
    import matplotlib.pyplot as plt

    axes = profile(STACKS).flamegraph()
    assert axes.figure.number in plt.get_fignums()
    plt.close(axes.figure)


def test_deep_stacks_stay_within_a_figure():
    import matplotlib.pyplot as plt

    axes = profile({";".join(["f@p"] * 2000): 1}).flamegraph()
    assert axes.figure.get_size_inches()[1] < 30
    assert len(boxes(axes)) == 2000
    plt.close(axes.figure)


def test_colors_are_stable_and_the_first_modules_differ():
    modules = [f"lib{i}.so" for i in range(7)]
    colors = plot.module_colors(modules)
    assert len(set(colors.values())) == 7
    assert plot.module_colors(modules[:1])[modules[0]] == colors[modules[0]]
    special = plot.module_colors(["", "[kernel.kallsyms]", *modules])
    assert len({special[""], special["[kernel.kallsyms]"], *colors.values()}) == 9


@pytest.mark.parametrize("options", [{"color": "rainbow"}, {"min_width": -1}])
def test_nonsense_is_refused(ax, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        profile(STACKS).flamegraph(ax, **options)


def test_other_ways_to_look(ax):
    profile(STACKS).flamegraph(ax, color="function", sample_type="samples", min_width=0)
    assert len(boxes(ax)) == 4


def test_ten_thousand_frames_are_one_collection(ax):
    stacks = {f"main@p;a{i % 100}@m{i % 9};b{i}@p;c{i}@q": 3 for i in range(5000)}
    p = profile(stacks)
    start = time.perf_counter()
    p.flamegraph(ax, min_width=0)
    assert time.perf_counter() - start < 5  # 0.1 s here; patches one by one take 6
    (drawn,) = ax.collections
    assert len(drawn.get_paths()) > 10_000


def test_without_matplotlib_the_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib") as caught:
        profile(STACKS).flamegraph()
    assert isinstance(caught.value, cprof.CprofError)
