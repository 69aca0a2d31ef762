#!/usr/bin/env python3
"""Prints the medians of one llama-benchy report and writes a record beside it. Standard library only: it runs
on any host that has Python 3, without recipegen."""

import argparse
import json
import statistics
import sys
import urllib.error
import urllib.request
from pathlib import Path

METRICS = (
    ("tg_throughput", "decode", "tok/s"),
    ("pp_throughput", "prefill", "tok/s"),
    ("ttfr", "time to first response", "ms"),
)


def describe(label, unit, values):
    """One line: the median without the first sample (it is cold), and with it."""
    warm = values[1:] or values
    line = f"  {label:24} {statistics.median(warm):12.2f} {unit:6} median of {len(warm)}"
    if len(values) > 1:
        line += f" (first sample dropped: {values[0]:.2f}; with it {statistics.median(values):.2f})"
    return line


def show(cell):
    """Prints one measured cell; gives the metrics that it has no sample of."""
    shape = "pp{prompt_size} tg{response_size} depth {context_size} concurrency {concurrency}"
    print(shape.format_map(cell))
    lacking = []
    for key, label, unit in METRICS:
        values = (cell.get(key) or {}).get("values") or []
        if values:
            print(describe(label, unit, values))
        elif key != "tg_throughput" or cell["response_size"] != 1:  # one token has no rate
            lacking.append(label)
    return lacking


def engine_version(server):
    """What the server says of itself: vLLM at /version, llama.cpp at /props; None when it says nothing."""
    for path, key in (("/version", "version"), ("/props", "build_info")):
        try:
            with urllib.request.urlopen(server + path, timeout=5) as answer:  # noqa: S310
                found = json.loads(answer.read(1 << 20)).get(key)
        except (urllib.error.URLError, OSError, ValueError, AttributeError):
            continue
        if isinstance(found, str):
            return found
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", required=True, type=Path)
    parser.add_argument("--meta", required=True, type=Path, help="record to write")
    parser.add_argument("--server", required=True, help="address of the server")
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"))
    parser.add_argument("--hide", nargs=2, action="append", default=[], metavar=("TEXT", "NAME"))
    parser.add_argument("argv", nargs="*", help="the benchmark's command line")
    options = parser.parse_args()

    try:
        report = json.loads(options.report.read_text(encoding="utf-8"))
        lacking = [name for cell in report["benchmarks"] for name in show(cell)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"{options.report} is not a llama-benchy report: {error!r}", file=sys.stderr)
        return 4
    if lacking or not report["benchmarks"]:
        names = ", ".join(lacking) or "anything"
        print(f"requests failed: no sample of {names}; see the output above", file=sys.stderr)
        return 4

    argv = options.argv
    for text, name in options.hide:
        if len(text) > 1:
            argv = [word.replace(text, name) for word in argv]
    record = {key: value or None for key, value in options.set}
    version = engine_version(options.server)
    record.update(argv=argv, engine_version=version, llama_benchy=report.get("version"))
    partial = options.meta.with_name(options.meta.name + ".part")
    partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    partial.replace(options.meta)
    return 0


if __name__ == "__main__":
    sys.exit(main())
