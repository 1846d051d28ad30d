"""Attacks by frames, tracebacks and memory: on the code around the program, and on what its process knows."""

from tests.verifier.attacks.case import LIBC, Attack, answers, attacks

_WALK = """
import sys

def frames():
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
"""
FRAMES = [
    *attacks(
        "frame",
        "forbidden",
        {
            "exit is taken away": """
                def f():
                    for frame in frames():
                        if 'os' in frame.f_globals: frame.f_globals['os']._exit = lambda *_: None
                    return 1
                """,
            "a traceback's frames": """
                def f():
                    try: 1 / 0
                    except ZeroDivisionError as error: frame = error.__traceback__.tb_frame
                    while 'os' not in frame.f_globals: frame = frame.f_back
                    return frame.f_globals['os'].getcwd()
                """,
            "a generator's frames": """
                def f():
                    def inner(): yield walker.gi_frame.f_back.f_back
                    walker = inner()
                    frame = next(walker)
                    while 'os' not in frame.f_globals: frame = frame.f_back
                    return frame.f_globals['os'].getcwd()
                """,
            "a server that goes on in the child": """
                def f():
                    for frame in frames():
                        server = frame.f_locals.get('self')
                        if type(server).__name__ == 'ForkServer': server.serve()
                """,
            "orders to the server's children": """
                def f():
                    for frame in frames():
                        server = frame.f_locals.get('self')
                        if type(server).__name__ == 'ForkServer':
                            import builtins
                            frame.f_globals['os'].kill(-1, 9)
                """,
            "the server's socket": """
                def f():
                    for frame in frames():
                        server = frame.f_locals.get('self')
                        if type(server).__name__ == 'ForkServer': server._socket.sendall(b'x' * 16)
                """,
        },
        before=_WALK,
    ),
    *attacks(
        "frame",
        "error",
        {
            "the reply is no text": """
                def f():
                    kind = sys.modules['verifier.sandbox.protocol'].Reply
                    kind.to_bytes = kind.of_value = lambda *_: b'[[[['
                    return 1
                """,
        },
        before=_WALK,
        reason="no_result",
    ),
    *attacks(
        "frame",
        "ok|error",
        {
            "the system calls of os": """
                def f():
                    for frame in frames():
                        if 'os' in frame.f_globals: frame.f_globals['os'].write = lambda *_: 0
                    return 1
                """,
            "the encoder lies": """
                def f():
                    sys.modules['verifier.sandbox.encoding'].Encoder.encode = lambda *_: '["l",["l",1,true]]'
                    return 1
                """,
            "the encoder's types": """
                def f():
                    sys.modules['verifier.sandbox.encoding']._TAGS.clear()
                    return [1]
                """,
            "a trace of every function": """
                def f():
                    def trace(frame, event, value):
                        frame.f_locals
                        return trace
                    sys.settrace(trace)
                    sys.setprofile(trace)
                    for frame in frames(): frame.f_trace = trace
                    return 1
                """,
            "frames are cleared": """
                def f():
                    for frame in frames():
                        try: frame.clear()
                        except RuntimeError: pass
                    return 1
                """,
            "the code of our functions": """
                def f():
                    for module in list(sys.modules.values()):
                        for value in list(vars(module).values()):
                            if type(value) is type(f) and value is not f:
                                try: value.__code__ = (lambda *_, **__: 1).__code__
                                except ValueError: pass
                    return 1
                """,
            "the recursion limit": "def f():\n    sys.setrecursionlimit(60)\n    return 1",
            "the switch interval": "def f():\n    sys.setswitchinterval(1e9)\n    return 1",
            "the garbage collector": """
                def f():
                    sys.modules['_frozen_importlib'].BuiltinImporter.load_module('gc').set_threshold(1)
                    return [[] for _ in range(100)]
                """,
        },
        before=_WALK,
    ),
    *attacks(
        "frame",
        "ok|error",
        {
            "small integers are overwritten": """
                def f():
                    ctypes.memmove(id(1) + 24, b'\\x02', 1)
                    return 1
                """,
            "True is False": """
                def f():
                    ctypes.memmove(id(True) + 24, b'\\x00', 1)
                    return True
                """,
            "methods of int": """
                def f():
                    methods = ctypes.py_object.from_address(id(int.__dict__) + 16).value
                    methods['bit_length'] = lambda number: -10**9
                    ctypes.pythonapi.PyType_Modified(ctypes.py_object(int))
                    return 10**30
                """,
        },
        before=LIBC,
    ),
    *answers(
        "frame",
        {
            "nobody else's text is in the memory": (
                """
                def f():
                    libc.sbrk.restype = ctypes.c_void_p
                    class Info(ctypes.Structure): _fields_ = [(name, ctypes.c_size_t) for name in 'abcdefghij']
                    libc.mallinfo2.restype = Info
                    size = libc.mallinfo2().a
                    memory = ctypes.string_at(libc.sbrk(0) - size, size)
                    return b'azr_text_of_' + b'another_program' in memory
                """,
                "",
                "False",
            ),
            "nobody else's text is in the objects": (
                """
                def f():
                    gc = reach('gc')
                    seen, waiting = set(), [sys.modules, sys._getframe()]
                    found = 0
                    while waiting and len(seen) < 200000:
                        value = waiting.pop()
                        if id(value) in seen: continue
                        seen.add(id(value))
                        if type(value) in (str, bytes): found += ('azr_text_of_' + 'another_program') in str(value)
                        waiting.extend(gc.get_referents(value))
                    return found
                """,
                "",
                "0",
            ),
        },
        before=LIBC,
    ),
]

ATTACKS: list[Attack] = FRAMES
