"""The frozen, versioned records that one stage hands to the next.

Every field says what it means in its `description`; `feasibility schema` prints
those sentences as JSON Schema. Bytes and nanoseconds are integers. `None` means
"not measured" or "not known", never zero.
"""
