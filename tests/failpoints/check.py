#!/usr/bin/env python3
"""check.py SOURCE BINARY ON|OFF: the table of failpoints is complete, and only builds for tests have them.

Complete: each name of the table stands in the code and each one in the code stands in the table; each function of
src/daemon that stores, calls the network server, or acknowledges passes a failpoint, unless it is listed below with its
reason; and tests/e2e/test_failpoints.py kills the daemon at each.
"""
import pathlib
import re
import sys

# What changes the database, the network server or the broker.
ACTS = re.compile(
    r"\bstore_(?:turn_commit|start|schedule|start_failed|image_add|image_delete|deployment_add|deployment_delete|request_add"
    r"|request_due|token_add|slot_take|slots_leave|slots_renew|report_crash|suspend|resume|tell_changes|turn_hold_event)\("
    r"|network(?:\.|->)(?:enqueue|enqueue_group|create_group|set_gateways|delete_group|acknowledge)\(")

# The failpoint is on the way to it, or behind it.
ELSEWHERE = {
    "create_group": "ACT_CREATE_GROUP in action_perform",
    "set_gateways": "ACT_ADD_GATEWAYS in action_perform",
    "enqueue": "ACT_COMMAND in action_perform, ROOT_KEY_READ in on_root_key",
    "answer_batches": "COMMITTED and ACKNOWLEDGED in on_commit",
    "add_image": "IMAGE_ADDED in image_added",
    "add_draft": "DRAFT_ADDED in on_added",
    "make_request": "REQUEST_ADDED in on_request",
    "take": "SLOT_TAKEN in on_taken",
    "slots_renew": "LEASES_RENEWED in on_renewed",
    "suspended_report_crash": "CRASH_COUNTED in on_reported",
    "requests_run_due": "it makes rows that REQUEST_TAKEN reads",
    "delete_image": "one statement, repeatable",
    "delete_deployment": "one statement, repeatable",
}


def functions(text):
    """Name and body of each function of a C file in this project's layout."""
    for match in re.finditer(r"^\w[^;{}\n]*?\b(\w+)\([^;{}]*\)\n\{\n(.*?)^\}", text, re.M | re.S):
        yield match.group(1), match.group(2)


def main():
    source, binary, is_on = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3] == "ON"
    errors = []
    table = set(re.findall(r"^    X\((\w+), ", (source / "include/base/failpoint.h").read_text(), re.M))
    used, unneeded = set(), set(ELSEWHERE)
    for path in sorted((source / "src").rglob("*.c")):
        text = path.read_text()
        used |= set(re.findall(r"\bFAILPOINT\((\w+)\)", text))
        if path.parent.name != "daemon":
            continue
        for name, body in functions(text):
            if ACTS.search(body) and "FAILPOINT(" not in body:
                unneeded.discard(name)
                if name not in ELSEWHERE:
                    errors.append(f"{path.relative_to(source)}: {name}() acts without a failpoint")
    errors += [f"{name} is in the table, not in the code" for name in sorted(table - used)]
    errors += [f"{name} is in the code, not in the table" for name in sorted(used - table)]
    errors += [f"check.py: {name} needs no exception any more" for name in sorted(unneeded)]
    test = (source / "tests/e2e/test_failpoints.py").read_text()
    errors += [f"{name} is not killed at by tests/e2e/test_failpoints.py" for name in sorted(table)
               if not re.search(rf'"{name}[":]', test)]
    if not table or not used:
        errors.append("nothing was found: the layout of the code has changed")
    if (b"FUOTAD_FAILPOINT" in binary.read_bytes()) != is_on:
        errors.append(f"{binary.name} must {'' if is_on else 'not '}have failpoints")
    for error in errors:
        print(error)
    print(f"{len(table)} failpoints, {len(errors)} errors")
    return 1 if errors else 0


sys.exit(main())
