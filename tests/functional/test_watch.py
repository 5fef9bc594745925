"""``evacuator watch`` beside a site that really evacuates."""

import subprocess

import pytest

from evacuator.cmd.demo.site import all_in_one, evacuator, running


@pytest.fixture
def watch_an_evacuation(tmp_path):
    """Evacuate a server while somebody watches; returns what the watcher printed, and its exit status."""

    def watch(*simulated):
        settings = tmp_path / "slow.conf"
        settings.write_text("\n".join(["[simulated]", "define_seconds = 3", *simulated]))
        with running(all_in_one, [settings]) as site:
            uuid = site.create("web", "a")
            site.switch_off("a")
            site.force_down("a", down=True)
            site.act(uuid, {"evacuate": {"host": "b"}})
            command = evacuator("watch", "--url", site.url, "--host", "a", "--interval", 0.2)
            return subprocess.run(command, capture_output=True, text=True, check=False)

    return watch


def test_it_ends_well_with_the_evacuation(watch_an_evacuation):
    result = watch_an_evacuation()

    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-2:] == ["web a -> b done SHUTOFF", "1 done, 0 failed"]


def test_it_ends_badly_with_an_evacuation_that_fails_and_says_why(watch_an_evacuation):
    result = watch_an_evacuation("faults = define@b")

    assert result.returncode == 1, result.stderr
    failed, summary = result.stdout.splitlines()[-2:]
    assert failed.startswith("web a -> b failed ERROR: The hypervisor of host b refused define")
    assert summary == "0 done, 1 failed"
