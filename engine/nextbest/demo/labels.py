"""What every table of the demo must say about itself: what is measured, what is assumed, what is made up."""

from nextbest.demo.attitudes import LABEL as SYNTHETIC_ATTITUDES
from nextbest.demo.backtest import LABELS as BACKTEST_LABELS
from nextbest.demo.gap_forecast import MEANING as POTENTIAL_IS_A_BENCHMARK

DATA_SET = (
    "Data: completejourney, 2,469 households of a US grocer in 2017. Its Python package's README calls it"
    " simulated, the R package of the same data calls it a household panel: we cannot tell, so both are said."
)
ASSUMED_MARGINS = (
    "assumed margins: rates by category are ours (demo/assumed_margins.csv), as are costs and effects of"
    " actions"
)
MODELLED = f"Labels: {ASSUMED_MARGINS}; {SYNTHETIC_ATTITUDES}."
"""Below every table of money or stages."""
MODELLED_BRIEFLY = "Labels: assumed margins; synthetic attitudes."
MEASURED = "measured: purchases, mailings and redemptions alone; no margins, no attitudes"
REDEMPTION_NOT_UPLIFT, CUT_OFF = BACKTEST_LABELS

ALL = (
    DATA_SET,
    ASSUMED_MARGINS,
    SYNTHETIC_ATTITUDES,
    POTENTIAL_IS_A_BENCHMARK,
    MEASURED,
    REDEMPTION_NOT_UPLIFT,
    CUT_OFF,
)
"""All of them, for the file of figures."""
