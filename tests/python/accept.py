"""Loads each file of Sigma rules with pySigma and prints how many it took; errors go to standard error."""

import sys

from sigma.collection import SigmaCollection

taken, faults = 0, []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        rules = SigmaCollection.from_yaml(file.read(), collect_errors=True)
    faults += [f"{path}: {error}" for error in rules.errors]
    for rule in rules.rules:
        # Conditions are parsed when they are asked for.
        for condition in getattr(getattr(rule, "detection", None), "parsed_condition", []):
            try:
                condition.parsed
            except Exception as error:
                faults.append(f"{path}: {rule.title}: {error}")
        taken += 1
print(taken)
print("\n".join(faults), file=sys.stderr)
sys.exit(1 if faults else 0)
