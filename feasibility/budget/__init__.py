"""Budgets for CI: what models may cost, and whether they keep to it."""
