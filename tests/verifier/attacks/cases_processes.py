"""Attacks by other processes: forks, threads, and programs to start."""

from tests.verifier.attacks.case import LIBC, REACH, Attack, attacks

FORKS = [
    *attacks(
        "fork",
        "forbidden",
        {
            "fork": "def f(): return posix.fork()",
            "fork while the module is loaded": "posix.fork()\ndef f(): return 1",
            "fork bomb": "def f():\n    while True: posix.fork()",
            "fork bomb that catches": """
                def f():
                    while True:
                        try: posix.fork()
                        except BaseException: pass
                """,
            "fork in a finaliser": """
                class Last:
                    def __del__(self): posix.fork()
                def f():
                    Last()
                    return 1
                """,
            "fork in a cycle of garbage": """
                class Last:
                    def __del__(self): posix.fork()
                def f():
                    gone = Last()
                    gone.itself = gone
                    del gone
                    reach('gc').collect()
                    return 1
                """,
            "fork, session, fork": "def f():\n    if posix.fork() == 0:\n        posix.setsid()\n        posix.fork()",
            "session of its own": "def f(): return posix.setsid()",
            "group of its own": "def f(): return posix.setpgid(0, 0)",
            "forkpty": "def f(): return posix.forkpty()",
            "posix_spawn": "def f(): return posix.posix_spawn('/bin/true', ['true'], {})",
            "execv": "def f(): return posix.execv('/bin/true', ['true'])",
            "execve of itself": "def f(): return posix.execve('/proc/self/exe', ['python', '-c', 'pass'], {})",
            "system": "def f(): return posix.system('sleep 1000 &')",
            "fork through the module os": "def f(): return reach('os').fork()",
            "fork through the globals of a loaded function": """
                import heapq, re, functools
                def f():
                    for module in list(sys.modules.values()):
                        for value in list(vars(module).values()):
                            found = getattr(value, '__globals__', {}).get('os')
                            if found: return found.fork()
                """,
            "fork through a subclass of object": """
                def f():
                    for kind in object.__subclasses__():
                        found = getattr(getattr(kind, '__init__', None), '__globals__', {})
                        if 'sys' in found:
                            importer = found['sys'].modules['_frozen_importlib'].BuiltinImporter
                            return importer.load_module('posix').fork()
                """,
        },
        before=REACH,
    ),
    *attacks(
        "fork",
        "forbidden",
        {
            "fork in libc": "def f(): return libc.fork()",
            "vfork in libc": "def f(): return libc.vfork()",
            "system in libc": "def f(): return libc.system(b'true')",
            "popen in libc": "def f(): return libc.popen(b'true', b'r')",
            "execl in libc": "def f(): return libc.execl(b'/bin/true', b'true', None)",
            "daemon in libc": "def f(): return libc.daemon(0, 0)",
        },
        before=LIBC,
    ),
    *attacks(
        "subprocess",
        "forbidden",
        {
            "import of subprocess": "import subprocess\ndef f(): return subprocess.run(['true']).returncode",
            "import of os": "import os\ndef f(): return os.system('true')",
            "import of posix": "import posix\ndef f(): return posix.system('true')",
            "import of multiprocessing": "from multiprocessing import Process\ndef f(): return Process().start()",
            "import of pty": "def f():\n    import pty\n    return pty.spawn('sh')",
            "import of concurrent.futures": "import concurrent.futures\ndef f(): return 1",
            "popen": "def f(): return __import__('os').popen('id').read()",
            "webbrowser": "def f(): return __import__('webbrowser').open('x')",
            "antigravity": "import antigravity\ndef f(): return 1",
        },
        reason="import",
    ),
]

THREADS = [
    *attacks(
        "thread",
        "forbidden",
        {
            "start of a thread": "def f(): return reach('_thread').start_new_thread(print, ())",
            "many threads": """
                def f():
                    while True:
                        try: reach('_thread').start_new_thread(f, ())
                        except Exception: pass
                """,
        },
        before=REACH,
    ),
    *attacks(
        "thread",
        "forbidden",
        {
            "pthread_create": """
                def f():
                    body = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: None)
                    return libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, body, None)
                """,
        },
        before=LIBC,
    ),
    *attacks(
        "thread",
        "forbidden",
        {
            "import of threading": "import threading\ndef f(): return threading.Thread(target=print).start()",
            "import of _thread": "import _thread\ndef f(): return 1",
            "import of asyncio": "import asyncio\ndef f(): return asyncio.run(asyncio.sleep(0))",
        },
        reason="import",
    ),
]

ATTACKS: list[Attack] = [*FORKS, *THREADS]
