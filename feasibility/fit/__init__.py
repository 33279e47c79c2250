"""From "does not fit" to "fits": which change of a model is enough?"""
