// The table as a picture: SVG 1.1, to be looked at in any browser.
//
// Above, a panel for each workload: useful hits as % of unbounded's (up) against the most entries
// there were (right, logarithmic); a point for each cap, joined for one policy. Up and to the left
// is better; the dashed line is the best possible. Below, for each policy what an insert cost over
// all workloads: median, 99.99 % and the longest, on a logarithmic scale of ns.
//
// Thread safety: a function of its argument.
#pragma once

#include <span>
#include <string>

#include "lab/negative.h"

namespace dentree::lab {

std::string SvgText(std::span<const WorkloadReport> reports);

}  // namespace dentree::lab
