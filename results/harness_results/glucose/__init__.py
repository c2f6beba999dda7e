"""The metrics of continuous glucose monitoring as functions of arrays: errors, error grids, time in range, events, alarms, distributions.

Glucose is in mg/dL throughout. Axes: N windows or nights, Q quantile levels, H horizon or T steps,
P patients. A reference that is NaN is a point left out. Sums over points come first and scores follow from sums, so that blocks of windows
can be added up and patients kept apart: see `harness_results.glucose.arrays`.

    points          RMSE, MAE, MARD, bias, gRMSE            events        P(below), labels of points and of nights
    error_grids     Clarke, Parkes                          decisions     AUROC, AUPRC, thresholds, sensitivity, Brier
    ranges          time in range, LBGI, HBGI, GMI, CV      alarms        lead time, false alarms per night
    distributions   WQL, coverage, sharpness, MACE          patients      intervals of a mean over patients
    regions         an error grid as areas and lines        picture       an error grid with forecasts in it
"""

from __future__ import annotations
