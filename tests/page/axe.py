"""axe-core, all rules: what it finds serious or critical on a page, exceptions listed by rule and selector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

SCRIPT = (Path(__file__).parent / "vendor" / "axe-4.12.1.min.js").read_text(encoding="utf-8")
GRAVE = ("serious", "critical")
EXCEPTIONS: frozenset[tuple[str, str]] = frozenset()
ALL_RULES = """async () => {
  const rules = Object.fromEntries(axe.getRules().map((rule) => [rule.ruleId, { enabled: true }]));
  const { violations } = await axe.run(document, { rules, resultTypes: ["violations"] });
  return violations;
}"""


def faults(page: Page) -> list[str]:
    """One line for each serious or critical finding: the rule, the element and what is wrong."""
    page.evaluate(SCRIPT)
    found: list[dict[str, Any]] = page.evaluate(ALL_RULES)
    return [
        f"{finding['impact']} {finding['id']} at {node['target'][0]}: {node['failureSummary']}"
        for finding in found
        if finding["impact"] in GRAVE
        for node in finding["nodes"]
        if (finding["id"], str(node["target"][0])) not in EXCEPTIONS
    ]
