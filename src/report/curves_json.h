#pragma once

#include <cstddef>

#include "base/json.h"
#include "report/metric_log.h"

namespace treepo {

// What the page draws curves from: metrics that were logged on the same lines share a table,
// [{"step": […], "tokens": […], "seconds": […], "columns": {NAME: [numbers]},
//   "thinned": k, "low": {NAME: […]}, "high": {NAME: […]}}, …]
// Numbers have 6 significant digits; null is a value that is not finite. A table of more than
// max_points lines is thinned to at most half as many points: each of its points is the mean of k
// lines and stands at the last of them; "low" and "high" are their least and greatest values.
OrderedJson curves_json(const MetricLog& log, size_t max_points);

}  // namespace treepo
