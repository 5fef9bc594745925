"""Sections of hosts: a name or an option that is mistyped must not send anybody to another hypervisor."""

import pytest
from oslo_config import cfg

from evacuator.conf import opts
from evacuator.conf.libvirt import host_sections, require_section_for, require_sections_of
from evacuator.errors import NotConfigured


@pytest.fixture
def configured(tmp_path):
    def read(text):
        file = tmp_path / "evacuator.conf"
        file.write_text(text)
        conf = cfg.ConfigOpts()
        opts.register_all(conf)
        conf([], default_config_files=[str(file)])
        return conf

    return read


def test_hosts_may_have_a_section_or_none(configured):
    conf = configured("[libvirt]\ncall_timeout = 3\n[host:a]\nconnection_uri = qemu+ssh://a/system\n[hosts]\nx = 1\n")

    assert host_sections(conf) == ["a"]
    require_sections_of(conf, ["a", "b"])


def test_a_section_of_a_host_that_is_none_is_refused(configured):
    with pytest.raises(NotConfigured, match=r"section \[host:alhpa\], but no such host among alpha, beta"):
        require_sections_of(configured("[host:alhpa]\nconnection_uri = qemu+ssh://a/system\n"), ["alpha", "beta"])


def test_an_option_that_is_none_is_refused(configured):
    with pytest.raises(NotConfigured, match=r"\[host:a\] has conection_uri, which means nothing there.*connection_uri"):
        require_sections_of(configured("[host:a]\nconection_uri = qemu+ssh://a/system\n"), ["a"])


ELSEWHERE = "[host:a]\nconnection_uri = qemu+ssh://a/system\n"


@pytest.mark.parametrize(
    "text", [ELSEWHERE + "[host:b]\nconnection_uri = qemu+ssh://b/system\n", ELSEWHERE + "[host:b]\n", "",
             "[host:a]\ngraphics_listen = 10.0.0.1\n[libvirt]\nstorage_id = san\n"],
    ids=["told where", "here as its section tells", "no sections", "nobody is told where"],
)  # fmt: skip
def test_one_host_alone_is_where_it_is_told_or_here(configured, text):
    require_section_for(configured(text), "b")


def test_a_host_without_a_section_is_refused_where_those_of_others_say_where_they_are(configured):
    with pytest.raises(NotConfigured, match=r"no section \[host:b\], but one for a\..* is where qemu:///system leads"):
        require_section_for(configured(ELSEWHERE), "b")


def test_an_option_that_is_none_is_refused_for_one_host_alone(configured):
    with pytest.raises(NotConfigured, match=r"\[host:b\] has conection_uri"):
        require_section_for(configured("[host:b]\nconection_uri = qemu+ssh://b/system\n"), "b")


def test_without_a_file_there_is_nothing_to_refuse():
    conf = cfg.ConfigOpts()
    opts.register_all(conf)
    conf([], default_config_files=[])

    require_sections_of(conf, ["a"])
