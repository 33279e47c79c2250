"""Writes budget reports for CI: GitHub, GitLab, JUnit, SARIF, Markdown."""
