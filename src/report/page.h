#pragma once

#include <string>
#include <vector>

namespace treepo {

// One HTML document that shows the runs in these folders and needs nothing else: no network, no
// other file. Reads their logs only, also while the runs go on. Throws Error on a folder that holds
// no run.
std::string report_page(const std::vector<std::string>& run_folders);

}  // namespace treepo
