"""Which function writes a budget report in which format?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from feasibility.json_documents import encode
from feasibility.records.budget import BudgetReport
from feasibility.render.ci.github import render_annotations
from feasibility.render.ci.gitlab import render_code_quality
from feasibility.render.ci.junit import render_junit
from feasibility.render.ci.markdown import render_markdown
from feasibility.render.ci.sarif import render_sarif

RENDERERS: Final[Mapping[str, Callable[[BudgetReport], bytes]]] = {
    "github": render_annotations,
    "gitlab": render_code_quality,
    "junit": render_junit,
    "sarif": render_sarif,
    "markdown": render_markdown,
    "json": encode,
}
