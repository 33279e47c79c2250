"""Do models keep their budgets in CI?"""
