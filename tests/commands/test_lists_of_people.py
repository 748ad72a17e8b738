"""Lists of people who are marked, as directories and spreadsheets export them."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from mailveil.cli import invoke, run
from mailveil.commands.marks import Mark, read_marks
from mailveil.control.failures import InvalidError

ANN = Mark("ann@example.org", "finance", True)


@pytest.mark.parametrize(
    "text",
    [
        "address,function,high_value\nann@example.org,finance,yes\n",
        "\ufeffMail;DisplayName;Department;High Value\r\n ann@example.org ;Ann;finance;X\r\n;Printer;;\r\n",
        "department\temail\thigh_value\nfinance\tann@example.org\t1",
        '"address","function","high_value"\n"ann@example.org","  finance","true"\n\n"ann@example.org","finance","1"\n',
    ],
    ids=["plain", "spreadsheet", "tabs", "quotes"],
)
def test_a_list_is_read_however_it_was_exported(text: str) -> None:
    assert read_marks(text) == [ANN]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "first line"),
        ("ann@example.org,finance\n", "first line"),
        ("address,name\nann@example.org,Ann\n", "first line"),
        ("address,function\n", "Nobody"),
        ("address,function\nann,finance\n", "Line 2: It is no address"),
        ("address,high_value\nann@example.org,maybe\n", "Line 2: high_value is yes or no"),
        ("address,function\nann@example.org,it\nANN@example.org,board\n", "Line 3: .* twice"),
        (f"address,function\nann@example.org,{'x' * 61}\n", "Line 2: A function has at most 60"),
        ('address,function\nann@example.org,"it"x\n', "Line 2: it is no CSV"),
        (f"address,function\nann@example.org,{'x' * 200_000}\n", "Line 2: it is no CSV"),
    ],
)
def test_a_list_with_a_mistake_says_in_which_line(text: str, problem: str) -> None:
    with pytest.raises(InvalidError, match=problem):
        read_marks(text)


def test_everybody_in_a_list_is_marked_and_a_mistake_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAILVEIL_STORAGE__DIRECTORY", str(tmp_path / "state"))
    people = tmp_path / "people.csv"

    def mark(*arguments: str) -> tuple[int, str, str]:
        code = invoke(["recon", "mark", *arguments])
        out, error = capsys.readouterr()
        return code, out, error

    people.write_text(
        "mail;department;high_value\nZoe@here.example;BOARD;yes\nyan@here.example;it;\n", "utf-8"
    )
    assert json.loads(mark("--from", str(people), "--json")[1]) == {"people": 2, "changed": 2, "unmarked": 0}
    assert json.loads(mark("--from", str(people), "--json")[1])["changed"] == 0
    marked = mark()[1]
    assert marked == "yan@here.example  it\nzoe@here.example  BOARD  high value\n"

    people.write_text("mail,department\nyan@here.example,finance\nnobody,IT\n", "utf-8")
    code, _, error = mark("--from", str(people), "--unmark-others")
    assert code == 2
    assert "Line 3: It is no address" in error
    assert mark()[1] == marked
    people.write_text("mail,department\nyan@here.example,IT\n", "utf-8")
    gone = mark("--from", str(people), "--unmark-others", "--json")[1]
    assert json.loads(gone) == {"people": 1, "changed": 0, "unmarked": 1}
    assert mark()[1] == "yan@here.example  it\n"

    assert "no address" in mark("zoe", "--function", "board")[2]
    assert json.loads(mark("zoe@here.example", "--function", "board", "--json")[1])["function"] == "board"
    with pytest.raises(click.UsageError):
        mark("zoe@here.example", "--from", str(people))
    with pytest.raises(click.UsageError):
        mark("--function", "board")


def test_a_question_that_nobody_answers_is_said_to_be_why(capsys: pytest.CaptureFixture[str]) -> None:
    def ask() -> None:
        raise click.Abort

    with pytest.raises(SystemExit) as ended:
        run(ask)
    assert ended.value.code == 130
    assert "nobody agreed" in capsys.readouterr().err
