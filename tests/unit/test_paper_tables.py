"""The paper's tables: which cells there are, how they are kept, and what the page says with and without them."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs livesnn[train]")

import torch

from livesnn.__main__ import main
from livesnn.cli.models import given_flags
from livesnn.errors import DataError, LivesnnError, StoppedError, TrainError
from livesnn.paper.analyses import (
    FOLLOWING,
    FeatureMaps,
    Gradients,
    analyse,
)
from livesnn.paper.experiments import FigureName, run_cells, shown
from livesnn.paper.page import page
from livesnn.paper.results import Folders, Record, Run, StepTime, load, read_record, record_file, write_record
from livesnn.paper.run import run_cell, training_curve
from livesnn.paper.table_cells import BUDGETS, COLUMNS, ROWS, Cell, TableName, cells
from livesnn.train.configuration import RECIPES
from livesnn.train.datasets.mnist_frames import classes_of
from livesnn.train.final_weights import measure_norms
from livesnn.train.network import build
from livesnn.train.resolve import resolve
from livesnn.train.run_folder import BEST, LAST
from tests import trees
from tests.benchmarks import paper_page

pytestmark = pytest.mark.slow

TABLES = get_args(TableName)
CONV_SNN = Cell("table1", "conv_snn", "seq1")
FIGURES_TITLES: dict[FigureName, str] = {
    "fig6": "Figure 6: ", "fig7": "Figure 7: ", "fig8": "Figure 8: ", "fig9": "Figure 9: ",
    "reset": "Reset off against on",
}  # fmt: skip


def a_run(seed: int, accuracy: float) -> Run:
    return Run(
        seed, accuracy, accuracy - 0.01, None,
        n=20_000, recordings=20_000, validation_accuracy=accuracy, validation_n=1000,
        confusion=((5, 1), (0, 6)), density=0.1, synops=2.5e6, wall_s=100.0, resumed_epochs=0, curve=(0.5, 0.9),
    )  # fmt: skip


def a_record(cell: Cell, *accuracies: float) -> Record:
    record = Record(
        **cell._asdict(), network=cell.row.network, dataset=cell.data_column.dataset, split=cell.data_column.split,
        note=cell.data_column.note, epochs=cell.config(0, Path("d"), Path("r")).epochs, seeds=len(accuracies) or 1,
        training_samples=108_000, classes=("a", "b"), parameters=323_000, macs=47e6,
        step=StepTime(0.5, 50, 2160, 3), device="cpu", machine={"processor": "P", "threads": 1}, commit="abc",
        command=cell.command(1), trainings=cell.trainings(1), out_of_reach=cell.out_of_reach,
    )  # fmt: skip
    for seed, accuracy in enumerate(accuracies):
        record = record.with_run(a_run(seed, accuracy))
    return record


def row(text: str, name: str) -> list[str]:
    """Return the cells of the first line of Markdown that begins with a name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [part.strip() for part in line.strip("|").split("|")]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("table", TABLES)
def test_every_cell_is_a_training_that_its_command_line_repeats(table: TableName, budget, recipe) -> None:

    names = tuple(f"{method}:{column}" for method in ROWS[table] for column in COLUMNS[table])
    for cell in cells(table, budget, recipe, names[::3]):  # of every method and column some
        config = cell.config(0, Path("DIR"), Path("runs"))
        arguments = shlex.split(cell.trainings(1)[0])[2:]
        typed = resolve(given_flags(arguments))
        assert replace(typed, out=config.out, name=config.name) == config


def test_a_cell_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(LivesnnError, match="table1 has no cell 'cnn:seq9'"):
        cells("table1", "cpu", "best", ("cnn:seq9",))


def test_the_paper_trains_longer_than_two_cores_can() -> None:
    cheap, whole = (CONV_SNN._replace(budget=budget).config(0, Path(), Path()) for budget in ("cpu", "paper"))
    assert cheap.epochs < whole.epochs == 100
    assert CONV_SNN._replace(budget="paper").seeds == 10
    assert Cell("table1", "c3d", "seq1").out_of_reach
    assert not Cell("table1", "c3d", "seq1", "paper").out_of_reach


def test_a_cell_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    record = a_record(CONV_SNN, 0.98, 0.99, 0.985)
    write_record(tmp_path, record)
    assert read_record(tmp_path, CONV_SNN) == record
    assert record.mean == pytest.approx(0.985)
    assert record.sd == pytest.approx(0.005)
    assert a_record(CONV_SNN, 0.98).sd is None
    assert "[5, 1]" in record_file(tmp_path, CONV_SNN).read_text()
    record_file(tmp_path, CONV_SNN).write_text('{"table": "table1"}')
    with pytest.raises(DataError, match=r"is damaged .*: restore it .* or delete it and run its command again"):
        read_record(tmp_path, CONV_SNN)


def test_an_empty_table_shows_the_papers_figures_and_what_fills_each_cell(tmp_path: Path) -> None:
    text = page("table1", tmp_path, "cpu", "best")
    assert row(text, "ConvSNN")[2:4] == ["– (99.4)", "– (98.6)"]
    assert "`livesnn tables table1 --cell conv_snn:seq1 --budget cpu --data DIR`" in text
    assert len(re.findall(r"`livesnn tables", text)) == 6 * 7


def test_a_filled_cell_stands_beside_the_papers_with_its_marks(tmp_path: Path) -> None:
    write_record(tmp_path, a_record(CONV_SNN, 0.98, 0.99))
    write_record(tmp_path, a_record(CONV_SNN._replace(column="seq5-total"), 0.9))
    text = page("table1", tmp_path, "cpu", "best")
    cells_of_row = row(text, "ConvSNN")
    assert cells_of_row[3] == "98.50 ± 0.71† (98.6)"
    assert cells_of_row[7] == "90.00†‡ (89.5)"
    assert (
        "† Less than the paper's budget, which is 100 epochs or more, 10 runs and 60,000 digits. Here a tenth" in text
    )
    assert "‡ Seq 5, total: " in text
    assert "--cell conv_snn:seq1 " not in text
    details = row(text, "conv_snn:seq1")
    assert details[1:7] == ["98.50 ± 0.71†", "best", "test, n = 20,000", "4", "108,000", "2 of 2"]


def test_the_papers_whole_budget_bears_no_mark_and_is_preferred(tmp_path: Path) -> None:
    whole = CONV_SNN._replace(budget="paper")
    write_record(tmp_path, a_record(CONV_SNN, 0.5))
    write_record(tmp_path, a_record(whole, *[0.99] * 10))
    assert row(page("table1", tmp_path, "cpu", "best"), "ConvSNN")[3] == "99.00 ± 0.00 (98.6)"
    write_record(tmp_path, a_record(CONV_SNN._replace(budget="small", column="seq2"), 0.1))
    assert row(page("table1", tmp_path, "cpu", "best"), "ConvSNN")[4] == "– (98.4)"
    assert row(page("table1", tmp_path, "cpu", "paper"), "ConvSNN")[3] == "– (98.6)"


def test_a_cell_out_of_reach_says_what_a_step_takes(tmp_path: Path) -> None:
    cell = Cell("table1", "conv_lstm", "seq1")
    write_record(tmp_path, replace(a_record(cell), synops=1.5e9))
    text = page("table1", tmp_path, "cpu", "best")
    assert row(text, "ConvLSTM")[3] == "– (99.11)"
    assert "| 1,500.0 (fresh weights) |" in text
    assert "0.50 s a step of 50 clips, 18 min an epoch" in row(text, "conv_lstm:seq1")[1]
    assert "--budget paper" in row(text, "conv_lstm:seq1")[2]


def test_a_part_of_a_data_set_is_named_in_table_2(tmp_path: Path) -> None:
    write_record(tmp_path, a_record(Cell("table2", "sts_resnet", "nmnist-1000"), 0.97))
    text = page("table2", tmp_path, "cpu", "best")
    assert "–; N-MNIST, 1,000 recordings: 97.00†‡" in text
    assert "the first 1,000 of 60,000 training recordings" in text
    assert "`livesnn tables table2 --cell sts_resnet:nmnist --budget cpu --data DIR`" in text


def test_every_cell_of_table_2_that_is_run_is_shown(tmp_path: Path) -> None:
    usual = tuple(f"{cell.method}:{cell.column}" for cell in cells("table2", "cpu", "best"))
    for cell in cells("table2", "cpu", "best", (*usual, "conv_snn:nmnist", "resnet18:nmnist")):
        write_record(tmp_path, a_record(cell, 0.4321))
    assert page("table2", tmp_path, "cpu", "best").split("Each cell in detail")[0].count("43.21") == 12


def test_videos_are_decided_as_a_whole_as_published_figures_are(tmp_path: Path) -> None:
    windows = replace(a_run(0, 0.7), n=300, recordings=100, accuracy_recordings=0.8)
    record = a_record(Cell("table2", "resnet18", "ucf6")).with_run(windows)
    write_record(tmp_path, record.with_run(replace(windows, seed=1, recordings=90)))
    text = page("table2", tmp_path, "cpu", "best")
    assert "UCF-6: 80.00 ± 0.00†‡" in text
    assert "validation, n = 100 and 90 |" in text


def test_a_done_cell_is_not_run_again_and_more_seeds_are_added(tmp_path: Path) -> None:
    ran: list[int] = []

    def train_one(cell: Cell, folders: Folders, seed: int) -> Run:
        ran.append(seed)
        return a_run(seed, 0.9 + seed / 100)

    folders = Folders(tmp_path, tmp_path, tmp_path)
    small = CONV_SNN._replace(budget="small")  # of any data
    write_record(tmp_path, a_record(small, 0.9))
    assert run_cell(small, folders, one=train_one).mean == 0.9
    assert ran == []
    more = run_cell(small, folders, 3, train_one)
    assert ran == [1, 2]
    assert [each.seed for each in more.runs] == [0, 1, 2]
    assert "--seeds 3" in more.command
    assert read_record(tmp_path, small) == more


def test_a_cell_begun_with_other_flags_is_not_mixed_with_these(tmp_path: Path) -> None:
    record = replace(a_record(CONV_SNN, 0.9), seeds=2, trainings=("livesnn train --alpha 0.7",))
    write_record(tmp_path, record)
    with pytest.raises(DataError, match="begun with other flags"):
        run_cell(CONV_SNN, Folders(tmp_path, tmp_path, tmp_path), seeds=3)


def test_a_part_of_a_data_set_does_not_fill_the_cell_of_the_whole(tmp_path: Path) -> None:
    folders = Folders(trees.mnist(tmp_path / "data"), tmp_path / "runs", tmp_path / "out")
    with pytest.raises(DataError, match=r"MNIST is incomplete .*60 of 60,000 digits are there"):
        run_cell(Cell("table1", "cnn", "mnist"), folders)
    assert not folders.out.exists()


def test_cells_without_data_are_left_and_counted(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "none", tmp_path / "runs", tmp_path / "out")
    write_record(folders.out, a_record(CONV_SNN, 0.9))
    named = ("cnn:seq1", "conv_snn:seq1", "cnn:seq2")
    lines = run_cells("table1", named, "cpu", "best", None, folders)
    assert next(lines)["mean"] == 0.9
    with pytest.raises(DataError, match="2 of 3 cells were not run"):
        next(lines)


def test_nothing_is_trained_where_nothing_can_be_kept(tmp_path: Path) -> None:
    out = tmp_path / "a file"
    out.touch()
    for what in ("table1", "fig1", "fig2"):
        with pytest.raises(DataError, match=r"can't be written: .*give another --out"):
            next(run_cells(what, (), "cpu", "best", None, Folders(tmp_path, tmp_path, out)))


def test_a_cells_file_under_the_name_of_another_is_not_shown_as_that(tmp_path: Path) -> None:
    write_record(tmp_path, a_record(CONV_SNN, 0.9))
    record_file(tmp_path, CONV_SNN).rename(record_file(tmp_path, CONV_SNN._replace(column="seq2")))
    with pytest.raises(DataError, match=r"seq2.* is the cell table1-conv_snn-seq1-cpu-best"):
        page("table1", tmp_path, "cpu", "best")


def test_the_page_is_what_its_files_say(tmp_path: Path) -> None:
    folder = shutil.copytree(paper_page.FOLDER, tmp_path / "tables")  # figures are drawn there
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert paper_page.renewed(text, folder) == text


def test_an_epoch_that_was_repeated_after_a_stop_counts_once_and_a_lost_one_is_none(tmp_path: Path) -> None:
    for version, text in enumerate(("0.1,0\n,0\n0.2,1\n0.4\n", "0.25,1\n0.3,3\n")):
        log = tmp_path / "log" / f"version_{version}" / "metrics.csv"
        log.parent.mkdir(parents=True)
        log.write_text(f"accuracy,epoch\n{text}")
    assert training_curve(tmp_path) == (0.1, 0.25, None, 0.3)


def test_a_figure_is_drawn_of_the_cells_that_are_there_and_says_what_is_missing(tmp_path: Path) -> None:
    assert "`livesnn tables table1 --cell conv_snn:seq1 --budget cpu" in shown("fig9", tmp_path, "cpu", "best")
    assert not list(tmp_path.iterdir())
    for column in ("seq1", "seq5-total"):
        write_record(tmp_path, a_record(CONV_SNN._replace(column=column), 0.9))
    for cell in cells("fig7", "cpu", "best"):
        write_record(tmp_path, a_record(cell, 0.8, 0.9))
    for name, title in FIGURES_TITLES.items():
        text = shown(name, tmp_path, "cpu", "best")
        assert text.startswith(f"![{title}")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
        assert ("Empty cells" in text) == (name != "fig7")


def test_figure_7_counts_windows_of_recordings_of_objects_which_lie_in_a_folder_of_the_data() -> None:
    cell = Cell("fig7", "hybrid", "objects")
    assert {each.column for each in cells("fig7", "cpu", "best")} == {"nmnist-1000", "objects"}
    assert cell.config(0, Path("DIR"), Path("runs")).data == Path("DIR/dvs128_objects")
    assert "--data DIR/dvs128_objects " in cell.trainings(1)[0]
    assert cell.data_column.by_window
    run = replace(a_run(0, 0.9), n=117, recordings=7)
    assert (
        replace(run, accuracy_recordings=1.0).published,
        replace(run, accuracy_recordings=1.0).decisions,
    ) == (1, 7)
    by_window = replace(run, accuracy_recordings=None)
    assert (by_window.published, by_window.decisions) == (0.9, 117)


def test_figure_2_is_measured_on_fresh_weights_by_depth(tmp_path: Path) -> None:
    assert "isn't measured yet" in shown("fig2", tmp_path, "cpu", "best")
    norms = {"best": {"spiking": ((1.0, 2.0, 4.0), (1.0, 2.0, 4.0)), "analog": ((0.0, 0.0, 0.0),)}}
    measured = Gradients(
        "mnist-seq2", 50, ("stem", "block", "classify"), norms, "abc", "livesnn tables fig2 --data DIR"
    )
    (tmp_path / "fig2.json").write_bytes(msgspec.json.encode(measured))
    text = shown("fig2", tmp_path, "cpu", "best")
    assert "- best recipe, spikes: 0.5 and 1." in text
    assert "- best recipe, leaky ReLU: undefined, as the last one is zero." in text
    assert (tmp_path / "fig2.png").exists()


def test_figure_2_has_a_norm_for_each_convolution_and_seed(tmp_path: Path) -> None:
    data = trees.mnist(tmp_path / "data")
    analyse("fig2", Folders(data, tmp_path, tmp_path))
    measured = load(tmp_path / "fig2.json", Gradients)
    assert measured is not None
    assert len(measured.layers) == 18
    for sides in measured.norms.values():
        assert {name: np.shape(norms) for name, norms in sides.items()} == {
            "analog": (3, 18),
            "spiking": (3, 18),
        }


def test_a_turn_leaves_its_direction_in_the_maps_of_spikes_but_not_in_those_of_an_ann(tmp_path: Path) -> None:
    folders = Folders(trees.mnist(tmp_path / "data"), tmp_path / "runs", tmp_path / "out")
    assert "isn't measured yet" in shown("fig1", folders.out, "cpu", "best")
    with pytest.raises(DataError, match=r"cnn_lstm_small:seq2 .* and .*--cell conv_snn:seq2 --budget cpu"):
        analyse("fig1", folders)
    digits = torch.randint(0, 256, (8, 10, 1, 28, 28), dtype=torch.uint8)
    for method in FOLLOWING:
        config = Cell("table1", method, "seq2").config(0, folders.data, folders.runs)
        net = build(replace(config, compile=False), classes_of("mnist-seq2"))
        measure_norms(net, [digits], from_zero=1.0)  # fresh ones leave neurons silent
        weights = {f"net.{name}": value for name, value in net.state_dict().items()}
        run = folders.runs / config.run_name
        run.mkdir(parents=True)
        kept_too = {"epoch": 0, "pytorch-lightning_version": "2", "optimizer_states": []}
        torch.save({"state_dict": weights, **kept_too}, run / BEST)
    analyse("fig1", folders)
    measured = load(folders.out / "fig1.json", FeatureMaps)
    assert measured is not None
    ann, snn = measured.differences["cnn_lstm_small"], measured.differences["conv_snn"]
    assert ann["frame"] == snn["frame"] < 1e-3
    assert max(ann["first"], ann["second"]) < 1e-3
    assert min(snn["first"], snn["second"]) > 0.05
    assert "| CNN+LSTM 36-36 | 0.000 | 0.000 | 0.000 |" in shown("fig1", folders.out, "cpu", "best")
    assert (folders.out / "fig1.png").stat().st_size > 5000


def test_what_a_training_advises_is_said_in_options_that_tables_has(tmp_path: Path) -> None:
    run = tmp_path / CONV_SNN._replace(budget="small").config(0, tmp_path, tmp_path).run_name
    run.mkdir()
    (run / "config.json").write_text("[]")
    (run / LAST).write_bytes(b"")
    folders = Folders(trees.mnist(tmp_path / "data"), tmp_path, tmp_path / "out")
    with pytest.raises(TrainError, match=rf"delete {run} and run the same command again"):
        run_cell(CONV_SNN._replace(budget="small"), folders)


@pytest.mark.parametrize(
    ("was", "bent"),
    [
        ('"mean": 0.9', '"mean": 90.0'),
        ('"accuracy": 0.9', '"accuracy": -0.9'),
        ('"macs": 47000000.0', '"macs": -1'),
        ('"commit": "abc"', '"commit": "\udcff"'),
        ('"machine": {', '"machine": {"deep": ' + 5000 * "[" + 5000 * "]" + ", "),
    ],
)
def test_a_cell_that_can_not_be_is_damaged_and_not_shown(tmp_path: Path, was: str, bent: str) -> None:
    write_record(tmp_path, a_record(CONV_SNN, 0.9))
    file = record_file(tmp_path, CONV_SNN)
    text = file.read_text()
    assert was in text
    file.write_bytes(text.replace(was, bent, 1).encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=rf"{file.name} is damaged .*restore it .*or delete it"):
        shown("fig9", tmp_path, "cpu", "best")


def test_a_signal_ends_a_training_with_exit_code_130(monkeypatch, capsys) -> None:
    def stopped(name: str, rest: list[str]) -> int:
        raise StoppedError("stopped in epoch 3: go on with --resume")

    monkeypatch.setattr("livesnn.__main__._run_command", stopped)
    assert main(["train"]) == 130
    assert "go on with --resume" in capsys.readouterr().err
