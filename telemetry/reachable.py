"""Whether a web server answers at all, within a deadline that also covers the look-up of its name."""

import http.client
import urllib.error
import urllib.request
from queue import Empty, SimpleQueue
from threading import Thread


def why_unreachable(url: str, timeout_s: float) -> str:
    """Empty when anything answers, an error page too; else the reason. Proxies of the environment are gone through."""
    answers: SimpleQueue[str] = SimpleQueue()
    Thread(target=lambda: answers.put(_ask(url, timeout_s)), daemon=True).start()
    try:
        return answers.get(timeout=timeout_s)
    except Empty:
        return f"nothing within {timeout_s:g} s"


def _ask(url: str, timeout_s: float) -> str:
    try:
        urllib.request.urlopen(url, timeout=timeout_s).close()
    except urllib.error.HTTPError:
        return ""
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", "") or error)
    return ""
