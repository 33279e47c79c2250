"""How are budget reports written for CI systems?"""
