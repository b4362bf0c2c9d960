"""Whether the documents say what the program does.

  check_docs.py ROOT names          docs/deployment.md has the names of include/deployment/*.h, in their order
  check_docs.py ROOT links          relative links of all Markdown files lead to files, and to headings that exist
  check_docs.py ROOT config FUOTAD  the generated pages are what FUOTAD prints, and the samples are right
"""
import os
import re
import subprocess
import sys

# heading in docs/deployment.md -> header, X-macro
TABLES = {
    "Reasons": ("include/deployment/reason.h", "REASON_LIST"),
    "Stages of a device": ("include/deployment/deployment.h", "DEVICE_STAGE_LIST"),
    "States of a transmission": ("include/deployment/deployment.h", "TRANSMISSION_STATE_LIST"),
}
GENERATED = {"config/fuotad.conf": "--sample-config", "docs/configuration.md": "--config-reference"}
SAMPLES = ["config/fuotad.conf", "config/fuotad-minimal.conf"]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def names_in_header(path, macro):
    text = read(path)
    start = text.index(f"#define {macro}(X)")
    end = text.index("\nenum", start)
    return re.findall(r'\bX\(\w+,\s*"(\w+)"', text[start:end])


def names_in_table(text, heading):
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    if section is None:
        return []
    return re.findall(r"^\| `(\w+)` \| .+ \|$", section.group(1), re.M)


def check_names():
    text = read("docs/deployment.md")
    for heading, (header, macro) in TABLES.items():
        code, page = names_in_header(header, macro), names_in_table(text, heading)
        if not code:
            yield f"{header}: {macro} has no names that this test can read"
        for name in code:
            if name not in page:
                yield f'docs/deployment.md: "{heading}" has no row for `{name}` of {header}'
        for name in page:
            if name not in code:
                yield f'docs/deployment.md: "{heading}" has `{name}`, which is not in {header}'
        if sorted(code) == sorted(page) and code != page:
            yield f'docs/deployment.md: "{heading}" has another order than {header}'


def markdown_files():
    for folder, folders, files in os.walk("."):
        folders[:] = [f for f in folders if not f.startswith((".", "build")) and f != "node_modules"]
        for name in sorted(files):
            if name.endswith(".md"):
                yield os.path.normpath(os.path.join(folder, name))


def prose(path):
    """The text without code, in which brackets and # mean something else."""
    return re.sub(r"^```.*?^```$", "", read(path), flags=re.S | re.M)


def headings(path):
    found = set()
    for title in re.findall(r"^#+ (.+)$", prose(path), re.M):
        plain = re.sub(r"[^\w\- ]", "", title.strip().lower())
        found.add(plain.replace(" ", "-"))
    return found


def check_links():
    count = 0
    for path in markdown_files():
        for link in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(path))):
            if re.match(r"[a-z]+:", link):
                continue
            count += 1
            name, _, anchor = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            if not os.path.exists(target):
                yield f"{path}: {link} does not exist"
            elif anchor and anchor not in headings(target):
                yield f"{path}: {link}: there is no such heading"
    if count < 20:
        yield f"only {count} links were found"


def check_config(fuotad):
    for path, option in GENERATED.items():
        done = subprocess.run([fuotad, option], stdout=subprocess.PIPE, text=True, check=True)
        if read(path) != done.stdout:
            yield f"{path} is not what fuotad {option} prints: make it again"
    for path in SAMPLES:
        done = subprocess.run([fuotad, "--check-config", "--config", path], capture_output=True, text=True)
        if done.returncode != 0:
            yield f"{path}: status {done.returncode}: {done.stderr.strip()}"


def main():
    fuotad = [os.path.abspath(argument) for argument in sys.argv[3:]]
    os.chdir(sys.argv[1])
    check = {"names": check_names, "links": check_links, "config": check_config}[sys.argv[2]]
    errors = list(check(*fuotad))
    print("\n".join(errors + [f"{len(errors)} errors"]))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
