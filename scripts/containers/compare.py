"""Asks the API of session events for everything, page by page, and compares counts with those of the lake.

    compare.py URL EXPECTED.csv      the key is in API_KEY

EXPECTED.csv has lines `what,name,count`: `country` (started sessions), `player` (completed sessions) and `all` (starts of all hours).
Says what it found; every difference is on stderr, and ends it with 1.
"""

import csv
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

EVERYTHING = "hours=8784"  # 366 days, counted back from the newest event
KEY = os.environ["API_KEY"]
requests = 0


def ask(url, key=KEY):
    """Body and address of the next page."""
    global requests
    headers = {"Accept": "application/x-ndjson"} | ({"Authorization": f"Bearer {key}"} if key else {})
    while True:
        requests += 1
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
                following = re.search(r'<([^>]+)>; *rel="next"', answer.headers.get("Link", ""))
                return answer.read(), following and urllib.parse.urljoin(url, following.group(1))
        except urllib.error.HTTPError as error:
            # This is quicker than a key may be by default.
            if error.code != 429:
                raise
            time.sleep(int(error.headers["Retry-After"]))


def rows(url):
    while url:
        body, url = ask(url)
        yield from map(json.loads, body.splitlines())


def main(base, expected_file):
    try:
        ask(f"{base}/v1/starts", key=None)
        sys.exit("the API answers without a key")
    except urllib.error.HTTPError as error:
        assert error.code == 401, error
    with open(expected_file, newline="") as file:
        expected = {(line["what"], line["name"]): int(line["count"]) for line in csv.DictReader(file)}
    paths = {"country": "countries/{}/started-sessions?limit=1000&" + EVERYTHING, "player": "players/{}/completed-sessions?limit=1000"}
    found = {
        (what, name): sum(1 for _ in rows(f"{base}/v1/{paths[what].format(name)}")) for what, name in expected if what in paths
    }
    found["all", "by hour"] = sum(row["starts"] for row in rows(f"{base}/v1/starts-per-hour?limit=10000&{EVERYTHING}"))
    found["all", "in all"] = json.loads(ask(f"{base}/v1/starts?{EVERYTHING}")[0])["starts"]
    for what, rows_of in (("country", "started sessions"), ("player", "completed sessions")):
        counts = [count for (kind, _), count in found.items() if kind == what]
        print(f"    {rows_of} by {what}: {len(counts)} asked, {sum(counts):,} rows in all their pages, {max(counts):,} of one at most")
    print(f"    starts: {found['all', 'by hour']:,} by hour and country, {found['all', 'in all']:,} in all")
    differences = [key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)]
    for key in differences:
        print(*key, f"lake {expected.get(key)}, API {found.get(key)}", file=sys.stderr)
    print(f"    {requests:,} requests, {len(differences)} differences")
    return 1 if differences or not expected else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
