"""Which sizes do open dims get, and which inputs does a model accept?"""
