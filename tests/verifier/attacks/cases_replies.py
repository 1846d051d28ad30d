"""Attacks by replies that are forged, on the reply's descriptor and on others."""

from tests.verifier.attacks.case import REACH, Attack, answers, attacks

_FORGED = {
    "a value": (b'["ok",["l",1,2],"",""]', "ok"),
    "with blanks around": (b' \n["ok",1,"",""]\n ', "ok"),
    "nothing": (b"", "error"),
    "no JSON": (b"ok", "error"),
    "half a reply": (b'["ok",["l",1', "error"),
    "two replies": (b'["ok",1,"",""]["ok",2,"",""]', "error"),
    "too short": (b'["ok",1,""]', "error"),
    "too long": (b'["ok",1,"","",""]', "error"),
    "an object": (b'{"status":"ok"}', "error"),
    "an invented status": (b'["right",1,"",""]', "error"),
    "a status that only the supervisor gives": (b'["timeout",1,"",""]', "error"),
    "another such status": (b'["nondeterministic",1,"",""]', "error"),
    "a status that is a list": (b'[["ok"],1,"",""]', "error"),
    "a reason that is a number": (b'["error",1,5,""]', "error"),
    "a reason of its own": (b'["error",null,"invented\\ud800\\u001b[31m","\\ud800\\u001b[31m\\n"]', "error"),
    "a detail without end": (b'["error",null,"syntax","' + b"x" * 40000 + b'"]', "error"),
    "deep brackets": (b"[" * 60000, "error"),
    "a value of 65 levels": (b'["ok",' + b'["l",' * 65 + b"1" + b"]" * 65 + b',"",""]', "error|too_large_output"),
    "a value of 500 levels": (b'["ok",' + b'["l",' * 500 + b"1" + b"]" * 500 + b',"",""]', "error|too_large_output"),
    "a float": (b'["ok",1.5,"",""]', "error"),
    "NaN": (b'["ok",NaN,"",""]', "error"),
    "an integer in digits": (b'["ok",' + b"9" * 60000 + b',"",""]', "error"),
    "an integer of many digits": (b'["ok",["i","' + b"f" * 60000 + b'"],"",""]', "ok|too_large_output"),
    "an unknown tag": (b'["ok",["z",1],"",""]', "error"),
    "a tag that is none": (b'["ok",[1,1],"",""]', "error"),
    "an empty value": (b'["ok",[],"",""]', "error"),
    "a dict that is none": (b'["ok",["d",1],"",""]', "error"),
    "a dict with an unhashable key": (b'["ok",["d",[["l",1],1]],"",""]', "error"),
    "a set with an unhashable member": (b'["ok",["S",["l",1]],"",""]', "error"),
    "a float that overflows": (b'["ok",["f","0x1p99999"],"",""]', "error"),
    "a float that is none": (b'["ok",["f","xyz"],"",""]', "error"),
    "an integer that is none": (b'["ok",["i","xyz"],"",""]', "error"),
    "bytes that are none": (b'["ok",["b","zz"],"",""]', "error"),
    "text that is none": (b'["ok",["s","ff"],"",""]', "error"),
    "no UTF-8": (b'["ok","\xff\xfe","",""]', "error"),
    "UTF-16": ('["ok",1,"",""]'.encode("utf-16"), "ok|error"),
    "a byte order mark": (b'\xef\xbb\xbf["ok",1,"",""]', "ok|error"),
    "NUL": (b"\0" * 1000, "error"),
    "a surrogate": (b'["ok","\\ud800","",""]', "ok"),
    "an order of the server": (b"\1" + b"\0" * 15, "error"),
    "the end of another run": (b"\0" * 12, "error"),
    "equal hashes": (
        b'["ok",["S",' + b",".join(b'["i","%x"]' % (number * (2**61 - 1)) for number in range(2000)) + b'],"",""]',
        "error",
    ),
    "equal hashes in a dict": (
        b'["ok",["d",' + b",".join(b'[["i","%x"],0]' % (number * (2**61 - 1)) for number in range(1800)) + b'],"",""]',
        "error",
    ),
    "equal hashes of JSON numbers": (
        b'["ok",["F",' + b",".join(b"%d" % (number * (2**61 - 1)) for number in range(2000)) + b'],"",""]',
        "error",
    ),
}


def _forged(name: str, data: bytes, statuses: str) -> Attack:
    program = f"{REACH}\ndef f():\n    posix.write(3, DATA)\n    posix._exit(0)\nDATA = {data!r}"
    return Attack(name=name, group="forged reply", program=program, statuses=frozenset(statuses.split("|")))


PROTOCOL = [
    *(_forged(name, data, statuses) for name, (data, statuses) in _FORGED.items()),
    *attacks(
        "forged reply",
        "error",
        {
            "a reply before the true one": 'def f():\n    posix.write(3, b\'["ok",2,"",""]\')\n    return 1',
            "a byte before the true one": "def f():\n    posix.write(3, b'[')\n    return 1",
            "1 MB of replies": 'def f():\n    for _ in range(9): posix.write(3, b\'["ok",2,"",""]\' * 10**3)\n    return 1',
        },
        before=REACH,
        reason="no_result",
    ),
    *answers(
        "forged reply",
        {
            "a blank before the true one": ("def f():\n    posix.write(3, b' ')\n    return 1", "", "1"),
            "on standard output": ('def f():\n    print(\'["ok",2,"",""]\', flush=True)\n    return 1', "", "1"),
            "on descriptors 1 and 2": (
                'def f():\n    for fd in (1, 2): posix.write(fd, b\'["ok",2,"",""]\')\n    return 1',
                "",
                "1",
            ),
        },
        before=REACH,
    ),
    *attacks(
        "forged reply",
        "forbidden",
        {
            f"on descriptor {number}": f'def f(): posix.write({number}, b\'["ok",2,"",""]\')'
            for number in (0, 4, 5, 6, 7, 8, 63)
        },
        before=REACH,
    ),
]

ATTACKS: list[Attack] = PROTOCOL
