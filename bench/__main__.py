"""``make bench``: what mailveil costs, each figure as a ratio against a peer in the same run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import control
import intelligence
import pages
import sealed
import studies
from catalogue import known_against_regex
from mailveil.core.copyaddress import CopyAddresses
from mailveil.core.message.parse import parse_message
from mailveil.core.message.text import Text
from mailveil.core.message.types import Source
from mailveil.core.policy import Envelope
from mailveil.core.protection import CopyMode, EngineSettings, protect
from mailveil.core.protection.inspecting import message_context
from mailveil.core.references.html import find_in_html
from mailveil.core.references.search import find_references
from mailveil.core.references.types import Findings, Scope
from mailveil.core.rewrite import Replacement, rewrite
from mailveil.core.verdicts.explaining import explain
from mailveil.core.verdicts.features import Surroundings, measure
from mailveil.core.verdicts.judging import judge, shipped_model
from mailveil.core.verdicts.trees import model_record, parse_model
from messages import messages
from peers import bare_parse, html_bodies, replace_with_email_and_soup

SETTINGS = EngineSettings(mode=CopyMode.HOSTED, addresses=CopyAddresses("https://copies.example", b"k" * 32))


def seconds_of(work: Callable[[], object], rounds: int = 5) -> float:
    """Return the median wall time of ``work`` in seconds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


ADDRESS = "https://copies.example/c/" + "A" * 40


def parse_find_rewrite(raw: bytes) -> bytes:
    """Make a message silent without judging its references: the job that the peers do, too."""
    message = parse_message(raw)
    findings = find_references(message).findings
    replacements = [
        Replacement(
            found.source,
            found.start,
            found.end,
            (found.inert if found.media is None else ADDRESS).encode(found.encoding),
        )
        for found in findings.references
    ]
    replacements += [
        Replacement(each.source, each.at, each.at, each.text.encode(each.encoding))
        for each in findings.insertions
    ]
    return rewrite(message, replacements)


def engine_against_soup(mail: list[bytes], rounds: int) -> dict[str, float]:
    """Parse, find, rewrite: the engine against ``email`` and BeautifulSoup doing the same job."""
    sample = mail[:: max(1, len(mail) // 60)]
    theirs = seconds_of(lambda: [replace_with_email_and_soup(raw) for raw in sample], max(1, rounds // 2))
    ours = seconds_of(lambda: [parse_find_rewrite(raw) for raw in sample], rounds)
    whole = seconds_of(lambda: [protect(raw, SETTINGS) for raw in sample], rounds)
    return {
        "ours_us": ours / len(sample) * 1e6,
        "with_verdicts_us": whole / len(sample) * 1e6,
        "theirs_us": theirs / len(sample) * 1e6,
        "times_faster": theirs / ours,
        "times_faster_with_verdicts": theirs / whole,
    }


def engine_against_lexbor(mail: list[bytes], rounds: int) -> dict[str, float]:
    """Find all references in the HTML, against lexbor's bare parse of the same HTML."""
    pages = html_bodies(mail)
    texts = [Text(page.decode("latin-1"), Source(page)) for page in pages]

    def find() -> None:
        for text in texts:
            find_in_html(text, Scope(part="1", findings=Findings()))

    ours = seconds_of(find, rounds) / len(pages)
    theirs = seconds_of(lambda: [bare_parse(page) for page in pages], rounds) / len(pages)
    return {"ours_us": ours * 1e6, "lexbor_us": theirs * 1e6, "share_of_its_speed": theirs / ours}


def judge_against_parse(mail: list[bytes], rounds: int) -> dict[str, float]:
    """Judge all references of each message, against finding them; and the parts of judging."""
    parsed = [parse_message(raw) for raw in mail]
    found = [find_references(message).findings for message in parsed]
    contexts = [
        message_context(message, Envelope(), each.linked) for message, each in zip(parsed, found, strict=True)
    ]
    pairs = [(each.references, context) for each, context in zip(found, contexts, strict=True)]
    measured = [
        measure(reference, surroundings)
        for references, context in pairs
        for surroundings in [Surroundings(references, context)]
        for reference in references
    ]
    model = shipped_model()
    count = max(len(measured), 1)
    parse = seconds_of(lambda: [find_references(parse_message(raw)) for raw in mail], rounds)
    judged = seconds_of(lambda: [judge(references, context) for references, context in pairs], rounds)
    text = model_record(model.trees, model.knots, model.provenance)
    return {
        "references_a_message": count / len(mail),
        "judge_us_a_message": judged / len(mail) * 1e6,
        "parse_and_find_us_a_message": parse / len(mail) * 1e6,
        "share_of_parse_and_find": judged / parse,
        "judge_us_a_reference": judged / count * 1e6,
        "trees_us_a_reference": seconds_of(lambda: [model.sum_of(each.numbers) for each in measured], rounds)
        / count
        * 1e6,
        "reasons_us_a_reference": seconds_of(lambda: [explain(each, model) for each in measured], rounds)
        / count
        * 1e6,
        "load_model_ms": seconds_of(lambda: parse_model(text), rounds) * 1e3,
    }


def all_cores_against_one(mail: list[bytes]) -> dict[str, float]:
    """``mailveil clean`` on a folder with every core against one."""
    result: dict[str, float] = {"cores": float(os.cpu_count() or 1)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        for number in range(3000):
            (folder / f"{number:05}.eml").write_bytes(mail[number % len(mail)])
        cores = sorted(os.sched_getaffinity(0))
        for label, allowed in (("one_core_s", cores[:1]), ("all_cores_s", cores)):
            target = Path(name) / label
            command = [sys.executable, "-m", "mailveil", "clean", str(folder), "-o", str(target)]
            os.sched_setaffinity(0, allowed)  # what is started from here on keeps to these cores
            try:
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                result[label] = time.perf_counter() - start
            finally:
                os.sched_setaffinity(0, cores)
    result["messages_per_s"] = 3000 / result["all_cores_s"]
    result["times_faster"] = result["one_core_s"] / result["all_cores_s"]
    return result


def memory_of_a_large_message() -> dict[str, float]:
    """Peak memory while a 50 MB message is made silent, as a multiple of its size."""
    script = (
        "from mailveil.core.protection import EngineSettings, protect\n"
        "def peak():\n"
        "    # Not ru_maxrss, which a process inherits from the one that started it.\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM'))\n"
        "before = peak()\n"
        "head = b'Content-Type: multipart/mixed; boundary=b\\r\\n\\r\\n--b\\r\\nContent-Type: text/html\\r\\n\\r\\n'\n"
        "head += b'<img src=\"http://a.example/x.gif\">\\r\\n--b\\r\\nContent-Type: application/pdf\\r\\n'\n"
        "head += b'Content-Transfer-Encoding: base64\\r\\n\\r\\n'\n"
        "line = b'QUFB' * 19 + b'\\r\\n'\n"
        "raw = b''.join([head, line * (50_000_000 // len(line)), b'--b--\\r\\n'])\n"
        "made = peak()\n"
        "assert protect(raw, EngineSettings()).changed\n"
        "print(len(raw), before, made, peak())\n"
    )
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    size, before, made, peak = map(int, output.split())
    return {"message_mb": size / 1e6, "peak_mb": peak / 1e6, "times_its_size": (peak - before) / size,
            "added_by_the_engine": (peak - made) / size}  # fmt: skip


ADVERSARIAL = {
    "open tags": b"<a ",
    "open quotes": b'<img src="',
    "comments": b"<!--",
    "conditional comments": b"<!--[if mso]>",
    "styles": b"<style>",
    "url()": b"<p style=url(",
    "entities": b"&#x",
    "nesting": b"<div>",
    "svg styles": b"<svg><style>",
    "images": b'<img src="http://a.example/x.gif">',
    "srcset": b"<img srcset='http://a.example/x.gif 1x, ",
}


def adversarial_inputs() -> dict[str, dict[str, float]]:
    """Time for hostile inputs of n and 4 n bytes: linear is a ratio of about 4."""
    found = {}
    for name, piece in ADVERSARIAL.items():
        taken = []
        for size in (100_000, 400_000):
            raw = b"Content-Type: text/html\r\n\r\n" + piece * (size // len(piece))
            taken.append(seconds_of(lambda raw=raw: protect(raw, SETTINGS), 3))  # type: ignore[misc]
        found[name] = {"ms_100_kB": taken[0] * 1e3, "ms_400_kB": taken[1] * 1e3, "ratio": taken[1] / taken[0]}
    return found


def control_room(*, quick: bool) -> dict[str, dict[str, Any]]:
    """What the control room costs with many messages against few: by its stores, by HTTP, and beside mail."""
    with tempfile.TemporaryDirectory() as name:
        folder, many = Path(name), control.how_many(quick=quick)
        against = f"{many:,} messages against {control.SMALL:,}"
        results: dict[str, dict[str, Any]] = {
            f"control room, {against}": control.measure(folder, quick=quick),
            f"whole site by HTTP, {against}": pages.measure(folder, quick=quick),
            "studying a backlog while others wait": studies.measure(folder, quick=quick),
        }
        os.environ["BENCH_DATABASE"] = str(control.file_of(folder, many))
        results[f"mail while people look, {many:,} messages on record"] = sealed.measure(
            "together", quick=quick
        )
    return results


def flag(value: Mapping[str, float]) -> str:
    """Return what is wrong with a comparison: more than twice the work, or a page that people wait for."""
    wrong = ["MORE THAN TWICE"] if value.get("processor_ratio", 0) > 2 else []
    wrong += ["SLOW"] if value.get("ms_many", 0) > 150 else []
    return "  " + ", ".join(wrong) if wrong else ""


def main() -> None:
    """Run all and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer messages and rounds")
    options = parser.parse_args()
    mail = messages(100 if options.quick else 500)
    rounds = 2 if options.quick else 5
    results: dict[str, dict[str, Any]] = {
        "machine": {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "messages": len(mail),
            "mean_kB": round(sum(map(len, mail)) / len(mail) / 1000, 1),
            "source": "real mail" if os.environ.get("BENCH_MAIL") else "made-up newsletters",
        },
        "engine against email + BeautifulSoup": engine_against_soup(mail, rounds),
        "engine against lexbor's bare parse": engine_against_lexbor(mail, rounds),
        "judge against parse and find": judge_against_parse(mail, rounds),
        "clean: all cores against one": all_cores_against_one(mail),
        "memory with a 50 MB message": memory_of_a_large_message(),
        "adversarial inputs": adversarial_inputs(),
        "operator of an address against one regex": known_against_regex(rounds),
        "Postfix with mailveil against bare Postfix": sealed.measure("postfix", quick=options.quick),
        "memory while messages pass": sealed.measure("passing", quick=options.quick),
        "copies server against nginx": sealed.measure("copies", quick=options.quick),
        "fetching from slow origins": sealed.measure("fetching", quick=options.quick),
    }
    results["studying a million observations"] = intelligence.measure(quick=options.quick)
    results |= control_room(quick=options.quick)
    if options.json:
        print(json.dumps(results, indent=1))
        return
    for name, values in results.items():
        print(f"\n{name}")
        for key, value in values.items():
            if isinstance(value, dict):
                shown = "  ".join(f"{inner} {number:.2f}" for inner, number in value.items()) + flag(value)
            else:
                shown = f"{value:.2f}" if isinstance(value, float) else str(value)
            print(f"  {key:36} {shown}")
    print(f"\nbench itself peaked at {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")


if __name__ == "__main__":
    main()
