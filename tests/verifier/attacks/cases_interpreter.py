"""Attacks on the interpreter: imports of what is kept away, and builtins that are replaced."""

from tests.verifier.attacks.case import Attack, answers, attacks

IMPORTS = [
    *attacks(
        "import",
        "forbidden",
        {
            "__import__": "def f(): return __import__('os').getcwd()",
            "__import__ of the builtins": "def f(): return __builtins__['__import__']('os').getcwd()",
            "importlib": "import importlib\ndef f(): return importlib.import_module('os').getcwd()",
            "importlib.util": "from importlib import util\ndef f(): return 1",
            "a module of ours": "from verifier.python import PythonExecutor\ndef f(): return 1",
            "a supervisor of ours": "from verifier.sandbox.host import Host\ndef f(): return 1",
            "a third-party library": "import numpy\ndef f(): return 1",
            "a module that is not there": "import azr_not_there\ndef f(): return 1",
            "a relative import": "from . import os\ndef f(): return 1",
            "pip": "import pip\ndef f(): return 1",
            "code": "import code\ndef f(): return code.interact()",
            "a path of one's own": "import sys\nsys.path.insert(0, '/tmp')\ndef f():\n    import azr_not_there",
            "runpy": "import runpy\ndef f(): return runpy.run_path('/etc/passwd')",
            "gc": "import gc\ndef f(): return gc.get_objects()",
            "signal": "import signal\ndef f(): return signal.alarm(1)",
            "faulthandler": "import faulthandler\ndef f(): faulthandler.dump_traceback_later(1, exit=True)",
        },
        reason="import",
    ),
    *attacks(
        "import",
        "forbidden",
        {
            "a builtin module by its importer": """
                import sys
                def f():
                    for kind in object.__subclasses__():
                        if kind.__name__ == 'BuiltinImporter': return kind.load_module('posix').getcwd()
                """,
            "a frozen module by its importer": """
                import sys
                def f():
                    sys.meta_path.append(sys.modules['_frozen_importlib'].BuiltinImporter)
                    sys.meta_path.append(sys.modules['_frozen_importlib'].FrozenImporter)
                    import os
                    return os.getcwd()
                """,
            "a module by _imp": """
                import sys
                def f():
                    imp = sys.modules['_imp']
                    return imp.create_builtin(sys.modules['_frozen_importlib'].ModuleSpec('posix', None)).getcwd()
                """,
            "a module in a module": "import random\ndef f(): return random._os.getcwd()",
            "a module in the globals of a function": """
                import contextlib, sys
                def f(): return contextlib.suppress.__init__.__globals__['sys'].modules['io'].open('/etc/passwd')
                """,
            "reload": """
                import sys
                def f():
                    io = sys.modules['io']
                    return sys.modules['_frozen_importlib']._exec(io.__spec__, io).open('/etc/passwd')
                """,
        },
    ),
    *answers(
        "import",
        {
            "a module of one's own": (
                "import sys\nsys.modules['os'] = 5\ndef f():\n    import os\n    return os",
                "",
                "5",
            ),
            "builtins without import": ("import builtins\ndel builtins.__import__\ndef f(): return 1", "", "1"),
            "no modules at all": ("import sys\nsys.modules.clear()\ndef f(): return 1", "", "1"),
        },
    ),
]

_TAMPERED = (
    *("compile", "type", "len", "callable", "isinstance", "str", "repr", "getattr", "list", "int", "dict", "eval", "exec"),
    *("ValueError", "SyntaxError"),
)
BUILTINS = [
    *attacks(
        "builtins",
        "ok|error",
        {
            f"{name} always says True": f"""
                import builtins
                def lie(*_, **__): return True
                builtins.{name} = lie
                def f(): return [1, 'a']
                """
            for name in _TAMPERED
        },
    ),
    *attacks(
        "builtins",
        "ok|error",
        {
            f"{name} raises": f"""
                import builtins
                def lie(*_, **__): raise SystemExit
                builtins.{name} = lie
                def f(): return [1, 'a']
                """
            for name in ("type", "len", "callable", "isinstance", "print", "BaseException", "MemoryError")
        },
    ),
    *attacks(
        "builtins",
        "ok|error",
        {
            "no builtins at all": "import builtins\nvars(builtins).clear()\ndef f(): return 1",
            "builtins of the program": "__builtins__ = {}\ndef f(): return 1",
            "a class builder of one's own": """
                import builtins
                builtins.__build_class__ = lambda *_: 5
                def f():
                    class X: pass
                    return X
                """,
            "module of one's own": "import sys\nsys.modules[__name__] = None\ndef f(): return 1",
            "name of the module": "__name__ = 'verifier.sandbox.child'\ndef f(): return __name__",
            "standard output of one's own": """
                import sys
                class Loud:
                    def write(self, text): raise SystemExit
                    def flush(self): raise SystemExit
                sys.stdout = sys.stderr = Loud()
                def f(): return 1
                """,
            "math is wrong": "import math\nmath.pi = 3\nmath.sqrt = lambda x: 0\ndef f(): return math.pi",
            "random is known": "import random\nrandom.random = lambda: 4\nrandom.seed = print\ndef f(): return random.random()",
            "json is wrong": "import json\njson.dumps = json.loads = lambda *_: 'null'\ndef f(): return [1]",
            "re is wrong": "import re\nre.compile = re.match = None\ndef f(): return 1",
            "the abstract classes are wrong": """
                import collections.abc
                for kind in vars(collections.abc).values():
                    if isinstance(kind, type):
                        try: kind.register(int)
                        except Exception: pass
                def f(): return 1
                """,
        },
    ),
]

ATTACKS: list[Attack] = [*IMPORTS, *BUILTINS]
