"""Who trains and who only takes: evidence from the inner products of a round, and what follows from it over rounds.

The evidence (``gram``, ``innovation``, ``likeness``) needs NumPy and the updates; the conduct (``conduct``) needs
neither, for it is folded in the steward from what the rounds' records say.
"""
