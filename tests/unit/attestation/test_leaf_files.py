from __future__ import annotations

import pytest

from shieldwall.runtime.attestation.leaf_files import LeafFiles, NoLeafError


@pytest.fixture
def secret(tmp_path, site):
    """A mounted Secret as the kubelet keeps it: ``..data`` names the version, and is swapped by a rename."""

    class Secret:
        directory = tmp_path / "tls"
        versions = 0

        def publish(self, leaf):
            self.versions += 1
            version = self.directory / f"..version-{self.versions}"
            site.write(leaf, version)
            pointer = self.directory / "..data_tmp"
            pointer.symlink_to(version.name)
            pointer.replace(self.directory / "..data")
            for name in ("tls.crt", "tls.key"):
                link = self.directory / name
                if not link.is_symlink():
                    link.symlink_to(f"..data/{name}")
            return version

    return Secret()


def test_each_call_gives_the_newest_leaf(site, secret):
    files = LeafFiles(secret.directory, site.identity())
    for _ in range(2):
        leaf = site.leaf()
        secret.publish(leaf)
        assert files.load().certificate == leaf.certificate
        assert files.load().chain == leaf.chain
    assert files.failures == 0


def test_a_plain_directory_will_do(tmp_path, site):
    leaf = site.leaf()
    site.write(leaf, tmp_path)
    assert LeafFiles(tmp_path, site.identity()).load().certificate == leaf.certificate


def test_a_renewal_between_two_reads_does_not_mix_versions(site, secret, monkeypatch):
    # The new version appears right after the certificate of the old one was read.
    first, second = site.leaf(), site.leaf()
    secret.publish(first)
    files = LeafFiles(secret.directory, site.identity())
    path_type = type(secret.directory)
    read, swapped = path_type.read_bytes, []

    def read_and_renew(path):
        data = read(path)
        if not swapped:
            swapped.append(secret.publish(second))
        return data

    monkeypatch.setattr(path_type, "read_bytes", read_and_renew)
    leaf = files.load()
    assert swapped
    assert files.failures == 0
    assert leaf.certificate.public_key() == leaf.key.public_key()
    assert files.load().certificate == second.certificate


def test_a_pair_that_does_not_match_is_refused_and_the_last_good_one_kept(site, secret):
    files, good = LeafFiles(secret.directory, site.identity()), site.leaf()
    secret.publish(good)
    assert files.load().certificate == good.certificate
    torn = secret.publish(site.leaf())
    (torn / "tls.crt").write_bytes(site.leaf().chain)
    assert files.load().certificate == good.certificate
    assert files.failures == 1


@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
@pytest.mark.parametrize("content", [None, b"", b"nothing"])
def test_unreadable_files_leave_the_last_good_leaf(site, secret, name, content):
    files, good = LeafFiles(secret.directory, site.identity()), site.leaf()
    secret.publish(good)
    files.load()
    version = secret.publish(site.leaf())
    if content is None:
        (version / name).unlink()
    else:
        (version / name).write_bytes(content)
    assert files.load().certificate == good.certificate
    assert files.failures == 1


def test_the_leaf_of_somebody_else_is_not_used(site, secret):
    secret.publish(site.leaf(site.identity("leipzig")))
    with pytest.raises(NoLeafError, match="leipzig"):
        LeafFiles(secret.directory, site.identity()).load()


def test_without_any_leaf_there_is_an_error_and_later_a_leaf(site, secret):
    files = LeafFiles(secret.directory, site.identity())
    with pytest.raises(NoLeafError):
        files.load()
    leaf = site.leaf()
    secret.publish(leaf)
    assert files.load().certificate == leaf.certificate
