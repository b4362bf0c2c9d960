"""Whether the programs are built as cmake/hardening.cmake means it.

  check_hardening.py programs PROGRAM...
  check_hardening.py marks CC OBJECT[,OBJECT...] PROGRAM...

The marks are those for control-flow protection: objects must have them where the compiler CC makes them at all,
programs where the start files of the toolchain have them, too; where not, it ends with 77.
"""
import os
import re
import subprocess
import sys
import tempfile

SKIPPED = 77
MARK = re.compile(r"x86 feature: IBT, SHSTK")


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], stdout=subprocess.PIPE, text=True, check=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout


def segments(program):
    """[(type, flags)] of the program headers."""
    return re.findall(r"^  (\w+) +0x\w+ 0x\w+ 0x\w+ 0x\w+ 0x\w+ ([R ][W ][E ])", readelf("-l", program), re.M)


def faults(program):
    header, dynamic, symbols = readelf("-h", program), readelf("-d", program), readelf("--dyn-syms", program)
    parts = segments(program)
    loads = [flags for kind, flags in parts if kind == "LOAD"]
    stacks = [flags for kind, flags in parts if kind == "GNU_STACK"]
    if not re.search(r"Type: +DYN", header) or not re.search(r"\(FLAGS_1\).*\bPIE\b", dynamic):
        yield "is not position independent (-pie)"
    if not re.search(r"\(FLAGS\).*\bBIND_NOW\b|\(FLAGS_1\).*\bNOW\b", dynamic):
        yield "binds its symbols late (-z now)"
    if not any(kind == "GNU_RELRO" for kind, _ in parts):
        yield "has relocations that stay writable (-z relro)"
    if "(TEXTREL)" in dynamic:
        yield "has relocations in its code"
    if not stacks or any("E" in flags for flags in stacks):
        yield "has an executable stack (-z noexecstack)"
    if any("W" in flags and "E" in flags for _, flags in parts):
        yield "has a segment that is writable and executable"
    if sum("E" in flags for flags in loads) != 1 or "E" in loads[0] or "E" in loads[-1] or len(loads) < 3:
        yield "has its code not in a segment of its own (-z separate-code)"
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        yield "looks for libraries in a path of its own"
    if not re.search(r"UND __stack_chk_fail\b", symbols):
        yield "has no stack protector (-fstack-protector-strong)"
    if not re.search(r"UND __(?!stack_)\w+_chk\b", symbols):
        yield "has no fortified functions (_FORTIFY_SOURCE)"


def is_marked(path):
    return MARK.search(readelf("-n", path)) is not None


def toolchain(compiler):
    """Whether an object, and a program, of the simplest source is marked."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = os.path.join(folder, "x.c"), os.path.join(folder, "x")
        with open(source, "w") as f:
            f.write("int main(void) { return 0; }\n")
        marked = []
        for option in ["-c"], []:
            done = subprocess.run([compiler, "-fcf-protection", *option, source, "-o", made], stderr=subprocess.PIPE)
            marked.append(done.returncode == 0 and is_marked(made))
    return marked


def check_programs(programs):
    return [f"{program}: {fault}" for program in programs for fault in faults(program)]


def check_marks(compiler, objects, programs):
    marks_objects, marks_programs = toolchain(compiler)
    files = (objects if marks_objects else []) + (programs if marks_programs else [])
    errors = [f"{path}: is not marked for IBT and SHSTK (-fcf-protection)" for path in files if not is_marked(path)]
    if not marks_programs and not errors:
        print("SKIPPED in part: the start files of this toolchain are not marked for control-flow protection, so no "
              "program is; " + ("all our objects are." if marks_objects else "and the compiler marks no object."))
        sys.exit(SKIPPED)
    return errors


def main():
    if sys.argv[1] == "programs":
        errors = check_programs(sys.argv[2:])
    else:
        errors = check_marks(sys.argv[2], sys.argv[3].split(","), sys.argv[4:])
    print("\n".join(errors + [f"{len(errors)} errors"]))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
