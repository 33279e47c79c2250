"""Which records does one stage hand to the next? They are frozen and have versions.

Every field says what it means in its `description`; `feasibility schema` prints
those sentences as JSON Schema. Bytes and nanoseconds are integers. `None` means
"not measured" or "not known", never zero.
"""
