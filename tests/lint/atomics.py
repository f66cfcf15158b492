#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every atomic operation of the library says what it is paired with.

In include/ and src/:
- an operation with an explicit order has, on its line or in the six above, a comment with "Pairs:"
  or "No order needed";
- an end of an edge that such a comment names (PUBLISH.w) is declared at some other operation, by a
  comment that has this name before its "Pairs:";
- no operation without an order, no seq_cst, no fence, no volatile: each either hides what the order
  is for, or cannot be checked by ThreadSanitizer.
"""

import pathlib
import re
import sys

LINES_ABOVE = 6
OPERATION = re.compile(
    r"\b(atomic_\w+_explicit|uatomic_\w+|rcu_(?:dereference|assign_pointer|xchg_pointer|cmpxchg_pointer|set_pointer)"
    r"|__atomic_\w+)\s*\("
)
REFUSED = (
    (re.compile(r"\b(atomic_(?:load|store|exchange|fetch_\w+|compare_exchange_(?:strong|weak)"
                r"|flag_test_and_set|flag_clear)(?<!_explicit))\s*\("), "no order: use the _explicit form"),
    (re.compile(r"\b(atomic_(?:thread|signal)_fence|cmm_smp_\w+|__sync_\w+)\b"), "free-standing fence or __sync"),
    (re.compile(r"\b(\w*seq_cst|\w*SEQ_CST)\b"), "seq_cst: say which edge is meant, and its order"),
    (re.compile(r"\b(volatile)\b"), "volatile is not for threads"),
)
SAYS = re.compile(r"Pairs:|No order needed", re.IGNORECASE)
END = re.compile(r"\b([A-Z][A-Z_]+\.[rw])\b")
TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def split(text):
    """The code with comments and literals blanked, and the comments as (first line, text)."""
    comments = []

    def blank(match):
        token = match.group()
        if token.startswith("/"):
            comments.append((text.count("\n", 0, match.start()) + 1, token))
        return re.sub(r"[^\n]", " ", token)

    return TOKEN.sub(blank, text), comments


def check(path, declared, named):
    """Complaints about one file; collects the ends of edges."""
    code, comments = split(path.read_text(encoding="utf-8"))
    told = set()
    for first, comment in comments:
        for number, line in enumerate(comment.split("\n"), first):
            if SAYS.search(line):
                told.add(number)
        before, pairs, after = comment.partition("Pairs:")
        if pairs:
            declared.update(END.findall(before))
            named.extend((path, first, end) for end in END.findall(after))
    for number, line in enumerate(code.split("\n"), 1):
        for pattern, reason in REFUSED:
            for found in pattern.finditer(line):
                yield number, f"{found.group(1)}: {reason}"
        for found in OPERATION.finditer(line):
            if not told.intersection(range(number - LINES_ABOVE, number + 1)):
                yield number, f'{found.group(1)}: no comment with "Pairs:" or "No order needed" above'


def main(roots):
    declared, named, bad = set(), [], False
    for root in roots:
        for path in sorted(p for p in pathlib.Path(root).rglob("*") if p.suffix in (".c", ".h")):
            for number, reason in check(path, declared, named):
                print(f"{path}:{number}: {reason}")
                bad = True
    for path, number, end in named:
        if end not in declared:
            print(f"{path}:{number}: pairs with {end}, which no operation declares")
            bad = True
    return 1 if bad else 0


sys.exit(main(sys.argv[1:] or ["include", "src"]))
