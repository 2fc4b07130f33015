// What a run of the table says, as text for people and as CSV for programs.
//
// Thread safety: functions of their arguments.
#pragma once

#include <span>
#include <string>

#include "lab/negative.h"

namespace dentree::lab {

// A table for each workload, a summary of the policies over all of them, and the goals.
//
//     hits       answers for which the file system was not asked, and as % of those of unbounded;
//     useful: the
//                same of names that are not junk
//     entries    the most negatives there were; KiB: their memory at the end
//     steps      the most entries and directories that one insert looked at
//     insert ns  of a lookup that put one in, without the injected cost: median, 99 %, 99.99 %,
//     most hit ns     of a lookup that was answered by one: median saved ms   hits times cost
std::string TableText(std::span<const WorkloadReport> reports);

// One line for each cell, with a line of names first. Times in ns.
std::string CsvText(std::span<const WorkloadReport> reports);

// What issue and design ask of the default policy, one line "goal: ..., ok" or "..., MISSED" for
// each that these reports can judge. `policy` is the default one.
std::string GoalsText(std::span<const WorkloadReport> reports, std::string_view policy);

}  // namespace dentree::lab
