"""The verb `diff`: files in, table or JSON out, and an exit code to gate on."""

import json

import pprofs
import pytest

from cprof import cli

BASE = {"main@prog;f@prog": 900, "main@prog;g@prog": 100}
NEW = {"main@prog;f@prog": 800, "main@prog;g@prog": 200}


@pytest.fixture
def files(tmp_path):
    paths = []
    for name, stacks in (("base", BASE), ("new", NEW), ("base2", BASE), ("new2", NEW)):
        paths.append(str(tmp_path / f"{name}.pb.gz"))
        pprofs.profile(stacks).write(paths[-1])
    return paths


def test_a_table(files, capsys):
    assert cli.main(["diff", files[0], files[1]]) == cli.OK
    out = capsys.readouterr().out
    assert "difference by share of cpu" in out
    assert "grew" in out
    assert "2 of 2 functions changed" in out


def test_json_and_pprofs_options(files, capsys):
    words = ["diff", "-sample_index=samples", "--mode=raw", "-focus=^g$", "--json", *files[:2]]
    assert cli.main(words) == cli.OK
    data = json.loads(capsys.readouterr().out)
    assert (data["mode"], data["unit"], data["sample_type"]) == ("raw", "count", "samples")
    assert [row["function"] for row in data["rows"]] == ["g"]
    assert (data["base"], data["new"]) == ([files[0]], [files[1]])


def test_by_stack(files, capsys):
    assert cli.main(["diff", "--stacks", *files[:2]]) == cli.OK
    assert "main;g" in capsys.readouterr().out
    assert cli.main(["diff", "--stacks", "--json", *files[:2]]) == cli.OK
    data = json.loads(capsys.readouterr().out)
    assert data["stacks"][0]["stack"] == ["main", "g"]
    assert data["rows"][0]["function"] in "fg"


def test_the_exit_code_tells(files, capsys):
    assert cli.main(["diff", "--exit-code", files[0], files[1]]) == cli.DIFFERENT == 9
    assert cli.main(["diff", "--exit-code", files[0], files[2]]) == cli.OK
    capsys.readouterr()


def test_repeated_runs(files, capsys):
    base, new, base2, new2 = files
    words = ["diff", "-diff_base", base, "-diff_base", base2, new, new2, "--json"]
    assert cli.main(words) == cli.OK
    data = json.loads(capsys.readouterr().out)
    assert "2 runs against 2" in data["notes"][0]


def test_it_writes_pages_and_pictures(files, tmp_path, capsys):
    out = tmp_path / "d.html"
    assert cli.main(["diff", files[0], files[1], "-o", str(out)]) == cli.OK
    assert "<html" in out.read_text()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "wrote" in captured.err


def test_wrong_usage(files, tmp_path, capsys):
    assert cli.main(["diff", files[0]]) == cli.USAGE
    assert "BASE and NEW" in capsys.readouterr().err
    assert cli.main(["diff", files[0], "--window", "0:1"]) == cli.FAILURE  # a file of sums
    assert "no times" in capsys.readouterr().err
    absent = str(tmp_path / "absent.pb.gz")
    assert cli.main(["diff", files[0], absent]) == cli.BAD_PROFILE
    assert "absent.pb.gz" in capsys.readouterr().err
    assert cli.main(["diff", *files[:2], "-o", "x.docx"]) == cli.USAGE
    capsys.readouterr()
    folded = tmp_path / "other.folded"
    folded.write_text("main;f 10\n")
    assert cli.main(["diff", files[0], str(folded)]) == cli.USAGE
    assert f"(base: {files[0]}; new: {folded})" in capsys.readouterr().err


def test_two_parts_of_one_file(tmp_path, capsys):
    stacks = [(s, n, {"zone": zone}) for zone, side in (("a", BASE), ("b", NEW))
              for s, n in side.items()]  # fmt: skip
    path = str(tmp_path / "zones.pb.gz")
    pprofs.profile(stacks).write(path)

    def rows(*words):
        options = ["--mode=raw", "-sample_index=samples", "--json"]
        assert cli.main(["diff", *options, *words, path]) == cli.OK
        data = json.loads(capsys.readouterr().out)
        assert data["base"] == data["new"] == [path]
        return {row["function"]: (row["base"], row["new"]) for row in data["rows"]}

    assert rows("--base-tagfocus", "zone=a", "-tagfocus", "zone=b") == {
        "f": (900, 800), "g": (100, 200)
    }  # fmt: skip
    assert rows("-base_tagfocus=zone=b") == {"f": (800, 1700), "g": (200, 300)}
    assert cli.main(["diff", "--base-tagfocus", "zone=c", path]) == cli.NO_SAMPLES
    assert "-tagfocus=zone=c" in capsys.readouterr().err
