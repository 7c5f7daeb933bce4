"""Holds the instants of cron lines against a calendar of somebody else's: `systemd-analyze calendar`.

Usage: calendars.py CAMPAIGND. Each line that its syntax can say is translated, and the next instants in each
zone are compared, those that a clock change touches left out: there the two mean different things.
"""

import json
import os
import subprocess
import sys

ZONES = [
    "UTC", "Asia/Shanghai", "Asia/Kolkata", "Asia/Tehran", "Europe/Berlin", "Europe/Dublin", "America/New_York",
    "America/Santiago", "Australia/Lord_Howe", "Pacific/Kiritimati", "Africa/Casablanca", "Atlantic/Azores",
]
# Minute, hour, day of the month, month and weekday, perhaps seconds before them. Not both kinds of days: there
# either matches in cron, and both must for systemd.
LINES = [
    "0 9 * * MON-FRI", "30 2 * * *", "15,45 8-18 * * *", "0 0 1 * *", "0 12 L * *", "5 4 29 2 *", "0 22 * * SAT,SUN",
    "*/20 * * * *", "7 */3 * * *", "10-50/20 6 * JAN-MAR,DEC *", "59 23 31 * *", "0 10 * * 0", "30 7 15 1,4,7,10 *",
    "0 9 * * FRI#1", "0 18 * * TUE#3", "20 30 14 * * 1-5", "*/15 0 12 1-7 * *", "0 0 * * 7",
]
BASE = "2026-01-05T00:00:00Z"
# Of a daily line more than a year, with its clock changes.
INSTANTS = 400
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
MONTHS = ["", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


def numbers(field, least, names=()):
    """A field of numbers as systemd writes it."""
    for number, name in enumerate(names):
        field = field.replace(name, str(number)) if name else field
    parts = []
    for part in field.split(","):
        span, _, step = part.partition("/")
        span = str(least) if span == "*" and step else span.replace("-", "..")
        parts.append(span + ("/" + step if step else ""))
    return ",".join(parts)


def translate(line):
    """A cron line as systemd's calendar says it."""
    fields = line.split()
    second, (minute, hour, day, month, weekday) = (fields[:-5] or ["0"])[0], fields[-5:]
    assert day == "*" or weekday == "*", line
    dates = numbers(month, 1, MONTHS) + ("~01" if day == "L" else "-" + numbers(day, 1))
    days = ""
    if "#" in weekday:
        name, nth = weekday.split("#")
        dates = f"{numbers(month, 1, MONTHS)}-{int(nth) * 7 - 6}..{int(nth) * 7}"
        days = name.capitalize()
    elif weekday != "*":
        name = lambda one: (DAYS[int(one)] if one.isdigit() else one).capitalize()
        days = ",".join("..".join(map(name, part.split("-"))) for part in weekday.split(","))
    time = ":".join(numbers(field, 0) for field in (hour, minute, second))
    return f"{days} *-{dates} {time}".strip()


def ours(campaignd, line, zone):
    """The next instants, and those of them that a clock change touches."""
    command = [campaignd, "next", line, "--zone", zone, "-n", str(INSTANTS), "--now", BASE, "--format", "json"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    instants = [slot["due_at"][:19].replace("T", " ") for slot in told["occurrences"]]
    touched = {at for at, slot in zip(instants, told["occurrences"]) if slot["note"]}
    return instants, touched


def theirs(line, zone):
    """The next instants, up to where its search gives up: in the year 2200, and at some skipped midnights."""
    command = ["systemd-analyze", "calendar", f"--iterations={INSTANTS}", "--base-time=2026-01-05 00:00:00 UTC"]
    command.append(f"{translate(line)} {zone}")
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    said = subprocess.run(command, capture_output=True, text=True, env=environment)
    words = [text.split() for text in said.stdout.splitlines() if "Next elapse:" in text or "Iter. #" in text]
    if said.returncode != 0 and "Resource deadlock avoided" not in said.stderr + said.stdout:
        sys.exit(f"{command} ended with {said.returncode}: {said.stderr}")
    return [" ".join(line[-3:-1]) for line in words]


def main():
    campaignd = sys.argv[1]
    compared = left_out = 0
    for zone in ZONES:
        for line in LINES:
            (mine, touched), other = ours(campaignd, line, zone), theirs(line, zone)
            if len(other) < 20:
                sys.exit(f"{line!r} in {zone}: systemd has given up after {len(other)} slots")
            # The two lists may end at different instants.
            end = min(mine[-1], other[-1])
            expected = {at for at in other if at <= end}
            found = {at for at in mine if at <= end}
            apart = sorted(expected ^ found)
            unexplained = [at for at in apart if at not in touched]
            if unexplained:
                sys.exit(f"{line!r} in {zone} ({translate(line)}): the two do not agree on {unexplained[:5]}")
            compared += len(expected & found)
            left_out += len(apart)
    print(f"{len(ZONES)} zones, {len(LINES)} lines, {compared} slots: the two agree "
          f"({left_out} at clock changes, where they mean different things, left out)")


main()
