"""What is missing on the machine is named."""

from __future__ import annotations

import pytest
from policy import node
from policy.node import MissingProgramError, Node, NoSuchNamespaceError


def test_a_namespace_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(node, "_NAMESPACES", tmp_path)
    with pytest.raises(NoSuchNamespaceError, match=f"no network namespace gone .{tmp_path}/gone"):
        Node("gone")


def test_a_program_that_is_not_there_is_named_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(node, "_NAMESPACES", tmp_path)
    monkeypatch.setattr(node, "which", lambda name, path: None if name == "nft" else f"/{name}")
    (tmp_path / "n").touch()
    with pytest.raises(MissingProgramError, match="there is no nft here; the Debian package nftables has it"):
        Node("n")
