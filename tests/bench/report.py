"""
The document of compare.py, Markdown made from its state: the goals in one table, then every case with its ratios, its runs and the
commands that made them. Ratios are taken within a round; a figure is the median of the rounds, with the smallest and largest behind it.
"""
import shlex
import statistics

from cases import CASES

READING = """A round runs the programs of a case one after the other, and every ratio is taken within a round, so that a machine that is
slower for a while is so for both sides. A figure is the median of the rounds; the smallest and largest stand in brackets. Step times are
the median step of a run: forward pass, loss, backward pass, update. Peak memory is the most that the process held resident. Others' CPU
time is what all other processes of the machine (and its host, where that tells) took during the run, in percent of its CPUs: a run with
more than a few percent is not to be trusted. "Tuned" is PyTorch with freed memory kept and, but for bf16, without channels-last: the
fastest settings found."""


def reason(result):
    return result["missing"] if result and "missing" in result else None


def views(measured):
    """For each column the rounds as {label: result}; the columns are PyTorch's interpreters, or a single one without PyTorch."""
    columns = measured["columns"] or ["entrain"]
    return {column: [{label: result.get(column) if program == "pytorch" else result
                      for label, (program, result) in one.items()} for one in measured["rounds"]] for column in columns}


def figures(row, rounds):
    """The row's value in every round that has it."""
    values = []
    for results in rounds:
        try:
            values.append(row.value(results))
        except (KeyError, TypeError, ZeroDivisionError):  # a run that is missing, or a figure that the program does not give
            pass
    return values


def spread(values, form):
    middle, low, high = (f"{function(values):{form}}" for function in (statistics.median, min, max))
    return middle if low == high else f"{middle} ({low} .. {high})"


def cell(row, rounds):
    values = figures(row, rounds)
    if not values:
        return "not measured"
    text = spread(values, ".3f")
    return text if row.goal is None else text + (" met" if statistics.median(values) <= row.goal else " **missed**")


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows] + [""]


def goals(state):
    rows = []
    for case in CASES:
        measured = state["cases"].get(case.name)
        for row in case.rows:
            if row.goal is None:
                continue
            if measured is None:
                rows.append((f"{case.name}: {row.text}", f"<= {row.goal}", "", "not run"))
                continue
            for column, rounds in views(measured).items():
                rows.append((f"{case.name}: {row.text}", f"<= {row.goal}", column, cell(row, rounds)))
    return table(("figure", "goal", "against", "measured"), rows)


def runs(measured):
    """Step times and memory of every run of a case, and why one is missing."""
    rows, nothing = [], ("",) * 4
    for label, (program, result) in measured["rounds"][0].items():
        for column in result if program == "pytorch" else [None]:
            results = [one[label][1] for one in measured["rounds"] if label in one]
            results = [result[column] if column else result for result in results]
            good = [result for result in results if "missing" not in result]
            name = f"{label}, {column}" if column else label
            if not good:
                rows.append((name, "not measured: " + reason(results[0]).replace("|", "/"), *nothing))
                continue

            def of(key):
                values = [result[key] for result in good if result.get(key) is not None]
                return spread(values, ".0f") if values else ""

            steps = [result["step_ms"]["median"] for result in good]
            rows.append((name, spread(steps, ".1f"), of("peak_mib"), of("start_mib"), of("plan_mib"), of("others_percent")))
            if len(good) < len(results):
                rows.append((name, f"{len(results) - len(good)} of {len(results)} runs failed: " +
                             next(reason(result) for result in results if "missing" in result).replace("|", "/"), *nothing))
    return table(("run", "step, ms", "peak memory, MiB", "before the network", "planned", "others' CPU time, %"), rows)


def parts(case, measured):
    """Where the step's time goes: medians over the rounds."""
    results = [one[case.parts][1] for one in measured["rounds"]]
    found = {}
    for result in results:
        for part in result.get("parts") or []:
            found.setdefault(part["name"], []).append(part)
    if not found:
        return ["The program gave no parts of the step.", ""]
    rows = []
    for name, some in found.items():
        times, floors = ([part[key] for part in some if part.get(key) is not None] for key in ("ms", "floor_ms"))
        time, floor = (statistics.median(values) if values else None for values in (times, floors))
        rows.append((name, "" if time is None else f"{time:.2f}", "" if floor is None else f"{floor:.2f}",
                     f"{time / floor:.2f}" if time is not None and floor else ""))
    return table(("part of the step", "ms", "floor, ms", "ratio"), rows)


def document(state, command):
    machines, pytorchs = [], []
    for measured in state["cases"].values():
        if measured["machine"] not in machines:
            machines.append(measured["machine"])
        pytorchs += [line for line in measured["pytorch"] if line not in pytorchs]
    lines = ["# Training steps, measured", "", f"Made by `{shlex.join(command)}`, not by hand.", ""]
    for machine in machines:
        lines += [f"- {line}" for line in machine]
    lines += [f"- {line}" for line in pytorchs] + [""]
    if len(machines) > 1:
        lines += ["**The cases were not all measured with the same machine and programs.** Each says with which.", ""]
    lines += [READING, "", "## Goals", "", *goals(state)]
    for case in CASES:
        measured = state["cases"].get(case.name)
        if measured is None:
            continue
        lines += [f"## {case.name}", "", case.title + ".", ""]
        if len(machines) > 1:
            lines += ["; ".join(measured["machine"]) + ".", ""]
        columns = views(measured)
        lines += table(("ratio", "goal", *columns), [(row.text, "" if row.goal is None else f"<= {row.goal}",
                                                      *(cell(row, rounds) for rounds in columns.values())) for row in case.rows])
        lines += runs(measured)
        if case.parts:
            lines += parts(case, measured)
        lines += [f"{len(measured['rounds'])} rounds of", "```", *measured["commands"], "```", ""]
    return "\n".join(lines)
