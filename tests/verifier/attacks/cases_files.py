"""Attacks on files and the network, by the interpreter's own ways."""

from tests.verifier.attacks.case import MARK, REACH, Attack, attacks

FILES = [
    *attacks(
        "file",
        "forbidden",
        {
            "open": "def f(): return open('/etc/passwd').read()",
            "open while the module is loaded": "TEXT = open('/etc/passwd').read()\ndef f(): return TEXT",
            "open to write": f"def f(): return open('/tmp/{MARK}', 'w').write('x')",
            "open to append in the folder": f"def f(): return open('{MARK}', 'a').write('x')",
            "open in memory": f"def f(): return open('/dev/shm/{MARK}', 'w').write('x')",
            "open by the input's expression": "def f(x=open('/etc/hostname').read()): return x",
            "builtins of the function": "def f(): return f.__builtins__['open']('/etc/passwd').read()",
            "io.open": "import sys\ndef f(): return sys.modules['io'].open('/etc/passwd').read()",
            "io.open_code": "import sys\ndef f(): return sys.modules['_io'].open_code('/etc/passwd').read()",
            "io.FileIO": f"import sys\ndef f(): return sys.modules['_io'].FileIO('/tmp/{MARK}', 'w').write(b'x')",
            "codecs.open": "import codecs\ndef f(): return codecs.open('/etc/passwd', 'r', 'utf-8').read()",
            "the interpreter's environment": "def f(): return open('/proc/self/environ', 'rb').read()",
            "the interpreter's memory": "def f(): return open('/proc/self/mem', 'r+b').read(1)",
            "the interpreter's map": "def f(): return open('/proc/self/maps').read()",
            "another process's environment": "def f(): return open('/proc/1/environ', 'rb').read()",
            "null device": "def f(): return open('/dev/null', 'w').write('x')",
            "terminal": "def f(): return open('/dev/tty', 'w').write('x')",
            "descriptor 0": "def f(): return open(0).read()",
            "descriptor 1": "def f(): return open(1, 'w').write('x')",
            "descriptor 3": "def f(): return open(3, 'rb').read()",
            "descriptor 4": "def f(): return open(4, 'wb').write(b'x')",
            "input text of a program": "import fractions\ndef f(): return exec('open(\"/etc/passwd\")')",
        },
    ),
    *attacks(
        "file",
        "forbidden",
        {
            "posix.open": "def f(): return posix.open('/etc/passwd', 0)",
            "posix.open to make": f"def f(): return posix.open('/tmp/{MARK}', 0o101)",
            "posix.read": "def f(): return posix.read(0, 1)",
            "posix.read of the reply": "def f(): return posix.read(3, 1)",
            "listdir": "def f(): return posix.listdir('/')",
            "scandir": "def f(): return list(posix.scandir('/'))",
            "stat": "def f(): return posix.stat('/etc/passwd').st_size",
            "fstat": "def f(): return posix.fstat(3).st_mode",
            "getcwd": "def f(): return posix.getcwd()",
            "chdir": "def f(): return posix.chdir('/')",
            "mkdir": f"def f(): return posix.mkdir('/tmp/{MARK}')",
            "unlink": "def f(): return posix.unlink('/etc/passwd')",
            "symlink": f"def f(): return posix.symlink('/etc/passwd', '/tmp/{MARK}')",
            "mkfifo": f"def f(): return posix.mkfifo('/tmp/{MARK}')",
            "readlink": "def f(): return posix.readlink('/proc/self/exe')",
            "rename": f"def f(): return posix.rename('/etc/hostname', '/tmp/{MARK}')",
            "chmod": "def f(): return posix.chmod('/', 0o777)",
            "dup": "def f(): return posix.dup(3)",
            "dup2": "def f(): return posix.dup2(1, 3)",
            "close": "def f(): return posix.close(3)",
            "pipe": "def f(): return posix.pipe()",
            "lseek": "def f(): return posix.lseek(3, 0, 0)",
            "sendfile": "def f(): return posix.sendfile(3, 0, 0, 10)",
            "memfd_create": "def f(): return posix.memfd_create('x')",
            "write to 0": "def f(): return posix.write(0, b'x')",
            "write to 4": "def f(): return posix.write(4, b'x')",
            "write to a descriptor of 64 bits": """
                def f():
                    ctypes = reach('ctypes')
                    return ctypes.pythonapi.syscall(1, ctypes.c_long(3 + 2**32), b'x', 1)
                """,
            "writev": "def f(): return posix.writev(3, [b'x'])",
            "name of the machine": "def f(): return posix.uname()",
            "loader of source files": """
                def f():
                    loader = sys.modules['_frozen_importlib_external'].SourceFileLoader('x', '/etc/passwd')
                    return loader.get_data('/etc/passwd')
                """,
            "loader of extensions": """
                def f():
                    spec = type(sys.__spec__)('x', None, origin='/x.so')
                    return reach('_imp').create_dynamic(spec)
                """,
            "finder of files": """
                def f():
                    external = sys.modules['_frozen_importlib_external']
                    sys.meta_path.append(external.PathFinder)
                    sys.path_hooks.append(external.FileFinder.path_hook((external.SourceFileLoader, ['.py'])))
                    sys.path.append('/usr/lib/python3')
                    import this
                """,
        },
        before=REACH,
    ),
    *attacks(
        "file",
        "forbidden",
        {
            f"import of {name}": f"import {name}\ndef f(): return 1"
            for name in (
                "pathlib",
                "tempfile",
                "shutil",
                "glob",
                "fileinput",
                "mmap",
                "sqlite3",
                "zipimport",
                "logging",
                "pickle",
            )
        },
        reason="import",
    ),
    *(
        Attack(name=name, group="file", program=program, statuses=frozenset({"forbidden", "ok"}), output=output)
        for name, program, output in (
            (
                "open that catches",
                "def f():\n    try: return open('/etc/passwd').read()\n    except BaseException: return 1",
                "1",
            ),
            ("lines", "import linecache\ndef f(): return linecache.getlines('/etc/passwd')", "[]"),
            ("access", REACH + "def f(): return posix.access('/etc/passwd', 4)", "False"),
        )
    ),
    *attacks("file", "error", {"standard input": "def f(): return input()"}, reason="EOFError"),
]

NETWORK = [
    *attacks(
        "network",
        "forbidden",
        {
            f"import of {name}": f"import {name}\ndef f(): return 1"
            for name in (
                "socket",
                "_socket",
                "ssl",
                "urllib.request",
                "http.client",
                "select",
                "ftplib",
                "smtplib",
                "xmlrpc.client",
            )
        },
        reason="import",
    ),
    *attacks(
        "network",
        "forbidden",
        {
            "socket": "def f(): return reach('socket').socket().connect(('127.0.0.1', 1))",
            "socket of UNIX": "def f(): return reach('socket').socket(1).connect('/var/run/x')",
            "socket pair": "def f(): return len(reach('socket').socketpair())",
            "socket of the reply": "def f(): return reach('socket').socket(fileno=3)",
            "name of a host": "def f(): return reach('socket').getaddrinfo('localhost', 80)",
            "host name": "def f(): return reach('socket').gethostname()",
            "message on the reply": "def f(): return reach('ctypes').pythonapi.sendmsg(3, 0, 0)",
            "text on the reply": "def f(): return reach('ctypes').pythonapi.send(3, b'x', 1, 0)",
        },
        before=REACH,
    ),
]

ATTACKS: list[Attack] = [*FILES, *NETWORK]
