"""``evacuator upgrade-check``: whether this site is ready for the release that is installed here."""

import argparse
import json
from pathlib import Path

from oslo_config import cfg
from oslo_upgradecheck.upgradecheck import Code, Result, UpgradeCommands

from evacuator.cmd import verify
from evacuator.cmd.options import add_config_file
from evacuator.db import census, schema
from evacuator.db.session import Database
from evacuator.evacuation.invariants import records
from evacuator.evacuation.invariants.facts import Census, Site
from evacuator.versions import RPC_VERSIONS, SERVICE_VERSION, TARGET_STATE_RPC, TARGET_STATE_SERVICE_VERSION

WORDS = {Code.SUCCESS: "ok", Code.WARNING: "warning", Code.FAILURE: "failure"}

#: How many hosts or records a line names.
NAMED = 5


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "upgrade-check",
        help="check whether this site is ready for the installed release",
        description="Check the schema, the compute services, the pin and the evacuations; one line for each. Exit "
        "status: 0 when all is well, 1 with a warning, 2 with a failure.",
    )
    parser.add_argument("--json", action="store_true", help="print what oslo.upgradecheck prints with --json")
    parser.add_argument(
        "--state-dir", metavar="D", type=Path, help="check D/evacuator.sqlite, unless a database is configured"
    )
    add_config_file(parser)
    parser.set_defaults(run=run, failed=int(Code.FAILURE))


def run(args: argparse.Namespace) -> int:
    """Make every check, print the results, and return the worst of them."""
    conf = cfg.CONF
    database = verify.open_to_look(conf, args.state_dir)
    try:
        results = check(conf, database, verify.upgrade_command(conf, args.state_dir))
    finally:
        database.close()
    _print(results, as_json=args.json)
    return int(max(result.code for _, result in results))


def _print(results: list[tuple[str, Result]], *, as_json: bool) -> None:
    if as_json:
        listed = [{"check": name, "result": result.code, "details": result.details} for name, result in results]
        print(json.dumps({"name": str(UpgradeCommands.display_title), "checks": listed}))
        return
    width = max(len(name) for name, _ in results)
    for name, result in results:
        print(f"{WORDS[result.code]:8}{name:{width}}  {result.details}")


def check(conf: cfg.ConfigOpts, database: Database, upgrade: str) -> list[tuple[str, Result]]:
    """Make the checks, in order; nothing but the pin can be looked at in another schema than this release's."""
    of_schema, pin = schema_version(database, upgrade), rpc_pin(conf.upgrade_levels.compute)
    if of_schema.code is not Code.SUCCESS:
        return [("schema", of_schema), ("RPC pin", pin)]
    taken = census.take(database, conf.service_down_time)
    return [
        ("schema", of_schema),
        ("compute services", compute_services(taken)),
        ("RPC pin", pin),
        ("evacuations", evacuations(Site(taken, bounds=verify.bounds_of(conf)))),
    ]


def schema_version(database: Database, upgrade: str) -> Result:
    """Compare the database's schema with the newest, to which the command ``upgrade`` brings it."""
    found, newest = schema.current(database), schema.head()
    if found == newest:
        return Result(Code.SUCCESS, f"is at {newest}, the newest")
    said = f"is at {found}" if found else "is empty"
    return Result(Code.FAILURE, f"{said}, {schema.way_out(found, upgrade)}")


def rpc_pin(pin: str | None) -> Result:
    """Judge [upgrade_levels] compute."""
    if not pin:
        return Result(Code.SUCCESS, "is not set")
    needed = ".".join(map(str, TARGET_STATE_RPC))
    if pin not in RPC_VERSIONS:
        return Result(Code.FAILURE, f"compute = {pin} is none of {', '.join(RPC_VERSIONS)}: choose one, or remove it")
    if tuple(map(int, pin.split("."))) >= TARGET_STATE_RPC:
        return Result(Code.SUCCESS, f"is {pin}, which carries a target state")
    said = f"compute = {pin} is below {needed}, so that microversion 2.95 is refused: remove it from [upgrade_levels]"
    return Result(Code.WARNING, f"{said} once every compute service is upgraded")


def compute_services(taken: Census) -> Result:
    """Compare the versions of the compute services with what 2.95 needs, and with what is known here."""
    newer = [service.host for service in taken.services if (service.version or 0) > SERVICE_VERSION]
    old = [
        f"{service.host} (version {service.version or 'unknown'})"
        for service in taken.services
        if (service.version or 0) < TARGET_STATE_SERVICE_VERSION
    ]
    said = []
    if newer:
        said.append(f"newer than this release: {_some(newer)}; upgrade this program first")
    if old:
        said.append(
            f"microversion 2.95 needs version {TARGET_STATE_SERVICE_VERSION}, older are: {_some(old)}; upgrade and "
            "restart them, or delete the services of hosts that are gone for good"
        )
    if said:
        return Result(Code.FAILURE if newer else Code.WARNING, "; ".join(said))
    if not taken.services:
        return Result(Code.SUCCESS, "there are none yet")
    return Result(Code.SUCCESS, f"all {len(taken.services)} honour microversion 2.95")


def evacuations(site: Site) -> Result:
    """Look for evacuations that should have ended."""
    late = [finding.subject for finding in records.endings(site) if finding.broken]
    if late:
        return Result(Code.WARNING, f"should have ended: {_some(late)}; run `evacuator verify`, which says what to do")
    running = sum(record.unfinished for record in site.census.records)
    return Result(Code.SUCCESS, f"{running} running, none of them late" if running else "none is running")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
