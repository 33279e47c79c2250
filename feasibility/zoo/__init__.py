"""Which reference architectures can be built, with seeded weights?

They have the operators, the sizes and the file layout of published models, so that
memory and time can be measured without a download; what they compute means nothing.
"""
