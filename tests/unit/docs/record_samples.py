"""Write the samples of answers anew, from the running application.

Run ``python -W ignore -m tests.unit.docs.record_samples`` where the tests run.

Samples of requests are written by hand; a test holds them against the schemas.
"""

from tests.unit.docs.documented_site import a_documented_site
from tests.unit.docs.exchanges import SAMPLES, record


def main():
    with a_documented_site() as site:
        written = {exchange.sample("response", version): text for exchange, version, text in record(site)}
    for old in set(SAMPLES.rglob("*-response-*.json")) - written.keys():
        old.unlink()
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print(f"{len(written)} samples")  # noqa: T201 - it is run by hand


if __name__ == "__main__":
    main()
