#!/usr/bin/env python3
"""Sets heed's benchmarks beside those of other programs and prints the ratios.

    bench/peers/compare.py --heed build/release/heed PEERS...

Each of PEERS is a Python script that prints JSON lines, a folder of such scripts (*_peers.py), or a file of lines that
one has printed before (*.jsonl). A line has "peer", "case", "dtype", "ms", and "length" for attention; lines with the
same case, dtype and length are compared, whatever else heed or the peer measures. The last column is the time of the
fastest peer over heed's: above 1, heed is faster.

Scripts run one after another, before heed, with --threads and what --peer-arguments gives (such as "--unlock"); run this
on a quiet machine. With --save FOLDER every line printed is kept, for the next time.
"""
import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys


def lines_of(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def run(command):
    print("running", shlex.join(map(str, command)), file=sys.stderr)
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout


def peer_files(names):
    for path in map(pathlib.Path, names):
        yield from sorted(path.glob("*_peers.py")) if path.is_dir() else [path]


def key(line):
    return line["case"], line["dtype"], line.get("length")


def text_of_rate(line):
    for name, unit in (("tokens_per_second", "tokens/s"), ("gflops", "GF/s")):
        if line.get(name):
            return f"{line[name]:.0f} {unit}"
    return ""


def compare(heed, peers):
    """Rows of (key, heed's line, the fastest peer's line, ratio) for what both have measured."""
    fastest = {}
    for line in peers:
        if key(line) not in fastest or line["ms"] < fastest[key(line)]["ms"]:
            fastest[key(line)] = line
    return [(key(line), line, fastest[key(line)], fastest[key(line)]["ms"] / line["ms"]) for line in heed
            if key(line) in fastest]


def print_table(rows):
    heading = ("case", "dtype", "length", "heed", "of limit", "fastest peer", "", "ratio")
    table = [heading] + [
        (case, dtype, str(length or ""), text_of_rate(own) or f"{own['ms']:.3f} ms", f"{100 * own['limit_share']:.0f} %",
         text_of_rate(peer) or f"{peer['ms']:.3f} ms", peer["peer"], f"{ratio:.2f}")
        for (case, dtype, length), own, peer, ratio in rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(heading))]
    for row in table:
        print("  ".join(cell.ljust(width) if i in (0, 1, 6) else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="+", metavar="PEERS")
    parser.add_argument("--heed", default="build/release/heed", help="the command, or a file of its JSON lines")
    parser.add_argument("--cases", default="attention,training", help="what heed measures, separated by commas")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--lengths", default="512,1024,2048,4096")
    parser.add_argument("--peer-arguments", default="", help='more arguments for every script, such as "--unlock"')
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the scripts' packages")
    parser.add_argument("--save", type=pathlib.Path, help="a folder for the lines printed")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    arguments = parser.parse_args()

    def keep(name, text):
        if arguments.save:
            arguments.save.mkdir(parents=True, exist_ok=True)
            (arguments.save / name).write_text(text)
        return lines_of(text)

    peers = []
    for file in peer_files(arguments.peers):
        if file.suffix == ".py":
            command = [arguments.python, file, "--threads", arguments.threads, *shlex.split(arguments.peer_arguments)]
            peers += keep(file.stem + ".jsonl", run(command))
        else:
            peers += lines_of(file.read_text())
    if arguments.heed.endswith(".jsonl"):
        heed = lines_of(pathlib.Path(arguments.heed).read_text())
    else:
        heed = keep("heed.jsonl", run([arguments.heed, "bench", *arguments.cases.split(","), "--lengths", arguments.lengths,
                                       "--threads", arguments.threads, "--json"]))
    rows = compare(heed, peers)
    if not rows:
        sys.exit("compare.py: heed and the peers have no case in common")
    if arguments.json:
        for (case, dtype, length), own, peer, ratio in rows:
            print(json.dumps({"case": case, "dtype": dtype, "length": length, "heed_ms": own["ms"], "peer": peer["peer"],
                              "peer_ms": peer["ms"], "ratio": round(ratio, 3), "limit_share": own["limit_share"]}))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
