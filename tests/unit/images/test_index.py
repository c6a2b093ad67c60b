import configparser
import stat
from pathlib import Path

from images.index import ca_bundle, index_secrets, pip_conf

LISTING = """\
global.cert='/etc/one.pem'
global.index-url='https://one.example/simple'
global.find-links='/wheels'
:env:.index-url='https://two.example/simple'
:env:.extra-index-url='https://three.example/simple\\nhttps://four.example/simple'
:env:.cert='/etc/two.pem'
"""


def test_a_build_gets_the_index_that_pip_uses_here_and_nothing_that_lies_on_this_machine():
    parser = configparser.RawConfigParser()
    parser.read_string(pip_conf(LISTING))
    assert dict(parser["global"]) == {
        "cert": "/run/secrets/ca.crt",
        "index-url": "https://two.example/simple",
        "extra-index-url": "https://three.example/simple https://four.example/simple",
    }


def test_the_last_ca_bundle_that_pip_names_is_taken():
    assert ca_bundle(LISTING) == Path("/etc/two.pem")
    assert ca_bundle("").is_absolute()


def test_secrets_are_files_of_ours_alone_and_end_with_the_build():
    with index_secrets() as (configuration, ca):
        path = Path(configuration.partition("src=")[2])
        assert path.read_text().startswith("[global]\n")
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert configuration.startswith("--secret=id=pip.conf,src=")
        assert ca.startswith("--secret=id=ca.crt,src=/")
    assert not path.exists()
