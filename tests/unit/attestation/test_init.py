from __future__ import annotations

import os
import ssl
import stat
import subprocess

import pytest
from cryptography import x509

from shieldwall.contract.paths import LOOPBACK_VARIABLE, ROOT_VARIABLE, Paths
from shieldwall.pki.pem import certificates_from_pem, private_key_from_pem, require_match
from shieldwall.runtime.init import main, put


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setenv(LOOPBACK_VARIABLE, "127.7.7.7")
    return Paths(tmp_path)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_it_makes_the_local_certificate_and_nothing_else(paths):
    assert main([]) == 0
    [certificate] = certificates_from_pem(paths.local_certificate.read_bytes())
    require_match(certificate, private_key_from_pem(paths.local_key.read_bytes()))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "127.7.7.7"]
    assert mode(paths.local_key) == 0o640
    assert mode(paths.local_certificate) == 0o644
    assert not paths.superexec_secret.exists()
    assert sorted(each.name for each in paths.local_key.parent.iterdir()) == ["local.key"]
    assert sorted(each.name for each in paths.local_certificate.parent.iterdir()) == ["local.crt"]


def test_the_usual_loopback_stands_in_it_once(paths, monkeypatch):
    monkeypatch.delenv(LOOPBACK_VARIABLE)
    main([])
    [certificate] = certificates_from_pem(paths.local_certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_it_makes_the_secret_when_asked(paths):
    assert main(["--superexec"]) == 0
    secret = paths.superexec_secret.read_text()
    assert len(bytes.fromhex(secret)) == 32
    assert len(secret) == 64
    assert mode(paths.superexec_secret) == 0o440


def test_a_restarted_pod_gets_new_ones(paths):
    main(["--superexec"])
    files = (paths.local_certificate, paths.local_key, paths.superexec_secret)
    before = [each.read_text() for each in files]
    assert main(["--superexec"]) == 0
    assert all(each.read_text() != old for each, old in zip(files, before, strict=True))


def test_a_write_that_fails_leaves_the_old_file_and_no_scraps(paths, tmp_path, monkeypatch):
    path = tmp_path / "file"
    put(path, "old", 0o640)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(OSError, match="space"):
        put(path, "new", 0o640)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_unknown_arguments_are_refused(paths, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--unknown"])
    assert caught.value.code == 2
    assert "--unknown" in capsys.readouterr().err


def test_openssl_accepts_it_strictly_as_a_server(paths):
    main([])
    crt = str(paths.local_certificate)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.7.7.7", "-CAfile", crt]
    result = subprocess.run([*command, crt], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr


def test_python_accepts_it_strictly(paths):
    main([])
    context = ssl.create_default_context(cafile=paths.local_certificate)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(paths.local_certificate, paths.local_key)
    assert handshake(context, server, "127.7.7.7")
    assert handshake(context, server, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, server, "127.7.7.8")


def handshake(client_context, server_context, name):
    """Both ends of a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
        if not waiting:
            return True
    return False
