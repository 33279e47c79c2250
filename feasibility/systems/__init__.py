"""What did others measure by hand, which network stands for each system, and what do we find?"""
