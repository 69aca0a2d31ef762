"""Does a recipe fit into its machine, and how fast can it decode at most. Owns the estimate; starts nothing.

Every number is a range with its source. Where a number is missing, the verdict is `unknown`, never a guess.
"""

from recipegen.fit.estimate import estimate
from recipegen.fit.parts import Ceiling, Estimate, Part, Range, Verdict

__all__ = ["Ceiling", "Estimate", "Part", "Range", "Verdict", "estimate"]
