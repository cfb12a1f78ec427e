#!/usr/bin/env python3
"""Write prometheus-rule.yaml: the groups of alerts.yaml for the Prometheus operator.

alerts.yaml is what a Prometheus without the operator reads, and the one to edit.
"""

import argparse
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
ALERTS = HERE / "alerts.yaml"
RULE = HERE / "prometheus-rule.yaml"
HEADER = """\
# Generated from alerts.yaml by generate.py: do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: authz-service
  namespace: authz
  labels:
    app.kubernetes.io/name: authz-service
    app.kubernetes.io/part-of: authz-service
spec:
"""


def prometheus_rule(alerts: str) -> str:
    """Put the groups of *alerts*, with their comments and without those at the top, into a rule."""
    _introduction, groups, rest = alerts.partition("\ngroups:\n")
    return HEADER + textwrap.indent(groups.lstrip("\n") + rest, "  ")


def main() -> None:
    """Generate, or compare with what is there, and exit with 1 where it differs."""
    parser = argparse.ArgumentParser(description="Generate prometheus-rule.yaml from alerts.yaml.")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit with 1 if the file is not as generated",
    )
    generated = prometheus_rule(ALERTS.read_text(encoding="utf-8"))
    if not parser.parse_args().check:
        RULE.write_text(generated, encoding="utf-8")
    elif not RULE.exists() or RULE.read_text(encoding="utf-8") != generated:
        parser.exit(1, f"differs: {RULE.name}\n")


if __name__ == "__main__":
    main()
