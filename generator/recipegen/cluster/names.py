"""Texts without the user's machines in them. Owns which words of a cluster file and of a node's answer name them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recipegen.cluster.nodes import Node

if TYPE_CHECKING:
    from recipegen.cluster.probe import NodeFacts

_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:])")
_LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104


def words_of(nodes: Sequence[Node], facts: Sequence[NodeFacts] = ()) -> dict[str, str]:
    """What names a user's machine, and what stands instead: `node1` for names and addresses, a knob for folders."""
    found: dict[str, str] = {}
    for node in nodes:
        for word in _names(node):
            found.setdefault(word, node.alias)
        for place, knob in ((node.models_dir, "${MODELS_DIR}"), (node.hf_home, "${HF_HOME}")):
            if len(place) > 1 and not place.startswith("~/"):
                found.setdefault(place, knob)
        account = node.user or (node.ssh or "").removeprefix("ssh://").rpartition("@")[0]
        if account:
            found.setdefault(f"{account}@", "")
    for one in facts:
        name = one.host.get("hostname", "")
        if name and name not in _LOCAL:
            found.setdefault(name, one.node.alias)
        if len(one.home) > 1:
            found.setdefault(one.home, "~")
    return found


def _names(node: Node) -> Iterator[str]:
    target = node.ssh or ""
    daemon = urlsplit(node.docker or "").hostname or ""
    host = urlsplit(target).hostname or "" if target.startswith("ssh://") else target.rpartition("@")[2]
    for word in (target, host, node.name, node.address, daemon):
        if word and word not in _LOCAL:
            yield word


def without_addresses(text: str) -> str:
    """The text with every IP address of another machine as `…`: ssh and Docker name ones that no cluster file has."""

    def instead(found: re.Match[str]) -> str:
        try:
            address = ip_address(found[0])
        except ValueError:
            return found[0]
        return found[0] if address.is_loopback or address.is_unspecified else "…"

    return _ADDRESS.sub(instead, text)


def anonymous(nodes: Sequence[Node], facts: Sequence[NodeFacts], text: str) -> str:
    """The text with placeholders; the longest words first, because one may hold another."""
    for word, instead in sorted(words_of(nodes, facts).items(), key=lambda pair: -len(pair[0])):
        # A word, not a part of one: a node called `a` must not eat every a. What ends with a sign ends there anyway.
        after = "" if word.endswith("@") else r"(?![\w-])"
        text = re.sub(rf"(?<![\w.-]){re.escape(word)}{after}", instead.replace("\\", r"\\"), text)
    return text
