"""Holds the JSON Schemas against a validator of somebody else's: every good file is taken, and the bad ones
whose mistakes a schema can see are refused.

Usage: schemas.py CAMPAIGND, in the root of the package. Needs the packages jsonschema and PyYAML.
"""

import json
import pathlib
import re
import subprocess
import sys

import yaml
from jsonschema import Draft202012Validator


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema: dates stay texts, and yes and no are no booleans."""


DIFFERENT = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
Core.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in DIFFERENT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Core.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")

GOOD = {
    "campaign": ["tests/fixtures/campaigns/good", "campaigns", "examples/openim", "examples/netease"],
    "settings": ["tests/fixtures/settings/good", "examples/settings"],
}
# Of the bad fixtures, those whose mistake is one of shape.
BAD = {
    "campaign": [
        "bad-values", "near-values", "not-a-mapping", "nothing", "unknown-keys", "wide", "windows", "wrong-types",
    ],
    "settings": ["bad-values", "literal-secret", "missing", "not-supported"],
}


def main(program):
    for kind, folders in GOOD.items():
        schema = json.loads(subprocess.check_output([program, "schema", kind]))
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema)
        files = [
            path
            for folder in folders
            for path in sorted(pathlib.Path(folder).rglob("*.y*ml"))
        ]
        for path in files:
            text = path.read_text(encoding="utf-8-sig")
            for error in validator.iter_errors(yaml.load(text, Core)):
                sys.exit(f"{path} is good, and the {kind} schema refuses it: {error.message} at {error.json_path}")
        refused = []
        for name in BAD[kind]:
            path = next(pathlib.Path(GOOD[kind][0]).parent.glob(f"bad/{name}.y*ml"))
            document = yaml.load(path.read_text(encoding="utf-8-sig"), Core)
            if validator.is_valid(document):
                sys.exit(f"{path} is bad, and the {kind} schema takes it")
            refused.append(name)
        print(f"{kind}: {len(files)} good files taken, {len(refused)} bad ones refused")


main(sys.argv[1])
