"""Finds secrets in what programs left behind: as octets, hexadecimal digits of either case, and base64."""
import base64
import os
import re


def base64_inside(octets):
    """What base64 makes of `octets` wherever they begin in the text that is encoded."""
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + octets)
        first = (shift * 8 + 5) // 6  # digits before it depend on what comes before
        last = (shift + len(octets)) * 8 // 6
        yield text[first:last]


def forms(octets):
    """(form, octets to look for). A half counts: what was freed is soon overwritten at its beginning. Digits are lower
    case; the haystack is lowered, too."""
    half = len(octets) // 2
    for name, part in ("first half", octets[:half]), ("second half", octets[half:]):
        yield name + " as octets", part
        yield name + " as digits", part.hex().encode()
    for text in base64_inside(octets):
        yield "base64", text


class Needles:
    def __init__(self):
        self.needles = []

    def add_key(self, name, digits):
        self.needles += [(name, form, octets) for form, octets in forms(bytes.fromhex(digits))]

    def add_token(self, name, text):
        self.needles += [(name, form, octets) for form, octets in forms(text.encode())]
        if re.fullmatch(r"([0-9a-f]{2})+", text):
            self.add_key(name, text)

    def names(self):
        return {name for name, _, _ in self.needles}

    def find(self, where, haystack):
        """Lines that say which secrets are in there, and in which form."""
        lowered = haystack.lower()
        return [f"{where}: {name} ({form})" for name, form, octets in self.needles
                if octets in (lowered if form.endswith("digits") else haystack)]

    def find_in_files(self, folder, without=()):
        """All files below `folder` but those named in `without`."""
        found, count = [], 0
        for place, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(place, name)
                if path not in without and os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as f:
                        found += self.find(os.path.relpath(path, folder), f.read())
                    count += 1
        return found, count


def memory_of(pid):
    """What a process can write, as octets; needs the rights of a debugger."""
    parts = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            fields = line.split()
            if "w" not in fields[1] or fields[-1] in ("[vvar]", "[vsyscall]"):
                continue
            first, last = (int(number, 16) for number in fields[0].split("-"))
            try:
                memory.seek(first)
                octets = memory.read(last - first).replace(bytes(4096), b"\0")  # most of it was never used
                parts.append((fields[-1] if len(fields) > 5 else "anonymous", octets))
            except OSError:
                continue
    return parts
