"""The README as a program: takes its marked blocks out, and holds what it says against the source.

usage: readme.py blocks FILE FOLDER          the code blocks that follow <!-- run -->, in order, as FOLDER/01.sh, 02.py, ...
       readme.py part FILE NAME              what stands between <!-- NAME: begin --> and <!-- NAME: end -->, all of them
       readme.py static SOURCE KEYS          links, map, messages, exit codes, keys; KEYS: the output of `entrain config --markdown`
       readme.py settings FILE               the options of the table of normalisers, a row a line
       readme.py output FILE RUN             banner, log lines and metrics as described, against a run folder
"""

import json
import re
import sys
from pathlib import Path

failures = 0


def check(condition, message):
    global failures
    if not condition:
        failures += 1
        print("FAILED:", message)


def read(path):
    return Path(path).read_text(encoding="utf-8")


def parts(text, name):
    return re.findall(rf"<!-- {re.escape(name)}: begin -->\n(.*?)<!-- {re.escape(name)}: end -->", text, re.S)


def part(text, name):
    found = parts(text, name)
    if not found:
        sys.exit(f"FAILED: no part named '{name}'")
    return "".join(found)


def fenced(text):
    """The lines inside of the first code block."""
    return re.search(r"^```\w*\n(.*?)^```$", text, re.S | re.M).group(1)


def cells(text):
    """Rows of the tables in text, without heads and rules."""
    rows = []
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if not line.startswith("|") or set(line) <= set("|- :") or (i + 1 < len(lines) and set(lines[i + 1]) <= set("|-") and lines[i + 1]):
            continue
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


# ---- marked blocks ----


def blocks(text):
    """(language, code) of every marked block; a mark without a block right after it is a mistake."""
    found = re.findall(r"^<!-- run -->\n```(sh|python)\n(.*?)^```$", text, re.S | re.M)
    marks = len(re.findall(r"^<!-- run -->$", text, re.M))
    if len(found) != marks:
        sys.exit(f"FAILED: {marks} marks <!-- run -->, but {len(found)} blocks of sh or python right after one")
    return found


def write_blocks(file, folder):
    for number, (language, code) in enumerate(blocks(read(file)), 1):
        name = f"{number:02}.{'sh' if language == 'sh' else 'py'}"
        (Path(folder) / name).write_text(code, encoding="utf-8")
        print(name)


# ---- what can be checked without running ----


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)


def anchors(text):
    """The names that GitHub gives to headings."""
    names = set()
    for heading in re.findall(r"^#+ (.*)$", without_code(text), re.M):
        names.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return names


def check_links(source, name):
    file = source / name
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(read(file))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = file.parent / path if path else file
        check(linked.exists(), f"{name}: the link {target} leads nowhere")
        if anchor and linked.is_file():
            check(anchor in anchors(read(linked)), f"{name}: {target}: no such heading")


def check_map(source, text):
    folder, listed, folders = None, 0, set()
    for line in part(text, "map").splitlines():
        heading = re.match(r"### `([^`]+)`", line)
        if heading:
            folder = source / heading.group(1)
            folders.add(folder.resolve())
            check(folder.is_dir(), f"map: there is no folder {heading.group(1)}")
        elif line.startswith("|"):
            for name in re.findall(r"`([^`]*[./][^`]*)`", line):
                listed += 1
                check((folder / name).exists(), f"map: there is no {folder.relative_to(source)}/{name}")
    check(listed > 100, f"map: only {listed} files are listed")
    for below in sorted(path for path in source.glob("src/**/") if path != source / "src"):
        check(below.resolve() in folders, f"map: the folder {below.relative_to(source)} is missing")


def literals(source):
    """Every text that the program can print: string literals, neighbours joined."""
    texts = []
    for file in sorted(source.glob("src/**/*.[ch]")):
        for run in re.findall(r'"(?:[^"\\\n]|\\.)*"(?:\s+"(?:[^"\\\n]|\\.)*")*', read(file)):
            texts.append("".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', run)).replace('\\"', '"').replace("\\n", "\n"))
    return texts


def check_messages(source, text):
    known = literals(source)
    count = 0
    for message in re.findall(r"^\*\*`{1,2}(.+?)`{1,2}\*\*$", "".join(parts(text, "messages")), re.M):
        fixed = [piece for piece in message.split("…") if piece.strip()]
        pattern = re.compile(".*".join(re.escape(piece) for piece in fixed), re.S)
        count += 1
        check(any(pattern.search(literal) for literal in known), f"troubleshooting: no such message in the source: {message}")
    check(count >= 12, f"troubleshooting: only {count} messages")


def check_exit_codes(source, text):
    described = {int(row[0]) for row in cells(part(text, "exit codes"))}
    header = re.search(r"typedef enum entrain_status \{(.*?)\}", read(source / "include/entrain/status.h"), re.S).group(1)
    real = {int(code) for code in re.findall(r"= (\d+)", header)}
    check(described == real, f"exit codes: described {sorted(described)}, in status.h {sorted(real)}")


def check_build(source, text):
    """Packages, options of cmake and commands."""
    install = re.search(r"^packages=\((.*?)\)", read(source / "launch/install.sh"), re.S | re.M).group(1)
    check(fenced(part(text, "packages")).split() == install.split(), "packages: not those that launch/install.sh installs")
    cmake = read(source / "CMakeLists.txt")
    for option in sorted(set(re.findall(r"-D(ENTRAIN_\w+)=", text))):
        check(re.search(rf"\b{option}\b", cmake), f"there is no option {option} of cmake")
    described = [re.match(r"`entrain ([^\s`]+)", row[0]).group(1).replace("CONFIG.json", "train") for row in cells(part(text, "commands"))]
    real = re.findall(r'^    \{"(\w+)", cmd_', read(source / "src/cli/main.c"), re.M)
    check(described == real, f"commands: described {described}, in main.c {real}")


def check_advice(source, text):
    """The files and names that the section for those who add things speaks of."""
    section = re.search(r"^## Adding things\n(.*?)^## ", text, re.S | re.M).group(1)
    code = "".join(read(file) for file in sorted(source.glob("src/**/*.[ch]")))
    for name in sorted(set(re.findall(r"`([^`]+)`", section))):
        if "NAME" in name or "." in name and "/" not in name:
            continue
        known = (source / name).exists() if "/" in name else re.search(rf"\b{re.escape(name)}\b", code)
        check(known, f"adding things: there is no {name}")


def check_keys(source, name, keys):
    """Every key that the text mentions is one."""
    sections = {key.split(".")[0] for key in keys if "." in key}
    text = read(source / name)
    for key in sorted(set(re.findall(rf"\b((?:{'|'.join(sections)})\.[a-z_]+)\b", text))):
        endings = ("c", "h", "json", "sh", "py", "md", "h5")
        check(key in keys or key.split(".")[1] in endings, f"{name}: there is no key {key}")


def static(source, table):
    source, table = Path(source), read(table)
    text = read(source / "README.md")
    keys = set(re.findall(r"^\| `([^`]+)`", table, re.M))
    check(len(keys) > 30, f"only {len(keys)} keys in the table of the program")
    check(part(text, "config table").strip() == table.strip(), "config table: out of date; put the output of `entrain config --markdown` there")
    check(fenced(part(text, "segment.c")) == read(source / "tests/install/segment.c"), "the C program is not that of tests/install/segment.c")
    for name in ("README.md", "launch/README.md"):
        check_links(source, name)
        check_keys(source, name, keys)
    check_build(source, text)
    check_advice(source, text)
    check_map(source, text)
    check_messages(source, text)
    check_exit_codes(source, text)


def settings(file):
    for row in cells(part(read(file), "norms")):
        print(row[1].strip("`"))


# ---- what a run shows ----


def skeleton(line):
    return re.sub(r"\d[\d.e+:-]*", "N", line.strip())


def output(file, run):
    text, run = read(file), Path(run)
    log = read(run / "log.txt").splitlines()
    form = skeleton(fenced(part(text, "log line")))
    lines = [skeleton(line) for line in log if line.startswith("iter ")]
    check(lines and set(lines) == {form}, f"log line: the README has\n  {form}\nthe run\n  {lines[0] if lines else 'none'}")

    described = {row[0].strip("`") for row in cells(part(text, "banner"))}
    rows = {line[2:14].strip() for line in log if re.match(r"  [a-z]", line)}
    described -= {"device"} - set(rows)  # printed on GPUs only
    check(described == rows, f"banner: described {sorted(described)}, printed {sorted(rows)}")

    for kind, keys in ((row[0].strip("`"), re.findall(r"`(\w+)`", row[1])) for row in cells(part(text, "metrics"))):
        objects = [o for o in map(json.loads, read(run / "metrics.jsonl").splitlines()) if o["kind"] == kind]
        check(objects and all(list(o) == keys for o in objects), f"metrics.jsonl: {kind}: described {keys}, written {list(objects[0]) if objects else 'none'}")


COMMANDS = {"blocks": write_blocks, "static": static, "settings": settings, "output": output, "part": lambda file, name: print(part(read(file), name), end="")}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
    sys.exit(1 if failures else 0)
