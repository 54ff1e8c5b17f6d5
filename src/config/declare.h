#pragma once

#include "config/option_table.h"
#include "config/options.h"

namespace treepo {

// Every option, bound to the fields of `options`, which must outlive the table. Keys are
// SECTION.FIELD, sections in the order of RunOptions' members. This is the one place that says
// what each option means and allows; rules between several options are in config/validate.h.
OptionTable declare_options(RunOptions& options);

}  // namespace treepo
