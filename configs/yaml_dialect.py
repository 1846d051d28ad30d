"""The YAML that configurations are written in: safe YAML 1.1 with two of its surprises mended.

`1e-4` is a number (YAML 1.1 wants `1.0e-4`), and a key written twice in one mapping is an error instead of the last
one winning in silence.
"""

import re
from collections.abc import Hashable

import yaml

_FLOAT = re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is written twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


# The stock list is copied before it is extended: it is shared with every other user of PyYAML in this process.
_Loader.yaml_implicit_resolvers = {first: list(rules) for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()}
for _first in "-+.0123456789":
    _Loader.yaml_implicit_resolvers.setdefault(_first, []).insert(0, ("tag:yaml.org,2002:float", _FLOAT))


def parse_yaml(text: str) -> object:
    """The document's value. Raises yaml.YAMLError, with a line number where there is one."""
    loader = _Loader(text)
    try:
        value: object = loader.get_single_data()
    except (ValueError, RecursionError) as failure:  # e.g. the date 2024-99-99, or a thousand brackets
        raise yaml.YAMLError(f"{failure}") from None
    finally:
        loader.dispose()
    return value
