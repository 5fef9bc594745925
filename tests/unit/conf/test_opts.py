import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from oslo_config import cfg
from oslo_config.types import Float

from evacuator import conf as package
from evacuator.conf import opts
from evacuator.engine.engine import Rules


@pytest.fixture
def conf():
    conf = cfg.ConfigOpts()
    opts.register_all(conf)
    return conf


def test_every_module_of_options_is_collected():
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)} - {"finite", "opts"}

    assert {module.__name__.rpartition(".")[2] for module in opts._MODULES} == modules


def test_every_option_has_a_help_text_that_is_a_sentence():
    for group, options in opts.list_opts():
        for option in options:
            assert option.help, f"{group}.{option.name}"
            assert option.help.endswith("."), f"{group}.{option.name}"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN"])
def test_no_number_is_one_that_cannot_be_compared_or_waited_for(value):
    numbers = [option for _group, options in opts.list_opts() for option in options if isinstance(option.type, Float)]

    assert len(numbers) > 10
    for option in numbers:
        with pytest.raises(ValueError, match=r"is not a finite number|greater than or equal"):
            option.type(value)


def test_every_option_that_is_listed_is_registered_and_has_a_valid_default(conf):
    conf([])

    for group, options in opts.list_opts():
        section = conf if group is None else conf[group.name]
        for option in options:
            value = getattr(section, option.dest)
            if value is not None and not isinstance(value, list):
                option.type(str(value))


def test_every_option_that_is_registered_is_listed(conf):
    listed = {(group.name if group else None, option.dest) for group, options in opts.list_opts() for option in options}
    registered = {(name, dest) for name, group in conf._groups.items() for dest in group._opts}
    registered |= {(None, dest) for dest in conf._opts.keys() - cfg.ConfigOpts()._opts.keys()}

    assert registered == listed


def test_registering_twice_changes_nothing(conf):
    opts.register_all(conf)
    conf([])

    assert conf.compute.driver == "simulated"


def test_two_configurations_share_no_values(conf):
    other = cfg.ConfigOpts()
    opts.register_all(other)
    other.set_override("vcpus", 1, group="simulated")

    conf([])

    assert conf.simulated.vcpus == 256


def test_the_defaults_are_those_that_operators_were_told(conf):
    conf([])

    assert (conf.report_interval, conf.service_down_time) == (10, 60)
    assert conf.api.auth_strategy == "noauth"
    assert conf.database.connection is None
    assert conf.upgrade_levels.compute is None
    assert conf.compute.claim_timeout == 300


def test_a_configuration_file_is_read(conf, tmp_path):
    path = tmp_path / "evacuator.conf"
    path.write_text(
        "[DEFAULT]\nhost = c1\nservice_down_time = 2.5\n[compute]\ndriver = libvirt\n"
        "[upgrade_levels]\ncompute = 1.0\n[simulated]\nfaults = define@b:2, power_on@c=timeout\n"
    )

    conf(["--config-file", str(path)])

    assert (conf.host, conf.service_down_time, conf.compute.driver) == ("c1", 2.5, "libvirt")
    assert conf.upgrade_levels.compute == "1.0"
    assert conf.simulated.faults == ["define@b:2", "power_on@c=timeout"]


def test_a_sample_file_can_be_generated_and_does_not_name_this_machine(tmp_path):
    # The generator finds options by entry point, so this makes what an installed package has.
    metadata = tmp_path / "sample-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sample\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text("[oslo.config.opts]\nsample = evacuator.conf.opts:list_opts\n")
    code = "from oslo_config import generator; generator.main(['--namespace', 'sample'])"
    where = [str(tmp_path), str(Path(package.__path__[0]).parents[1])]
    environment = {"PYTHONPATH": os.pathsep.join(where), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert "#host = <the name of this machine>" in done.stdout
    for section in ("[DEFAULT]", "[api]", "[compute]", "[database]", "[simulated]", "[upgrade_levels]"):
        assert section in done.stdout
    assert "#faults = define@b:2, power_on@c=timeout" in done.stdout
    assert "#connection = <None>" in done.stdout


def test_a_lost_message_is_made_up_for_within_fifteen_seconds_by_default(conf):
    conf([])

    assert conf.compute.sweep_interval + conf.encryption.caller_timeout < 15
    assert Rules().caller_timeout == conf.encryption.caller_timeout
