#pragma once

// Precompiled header of the commands: the torch parts' one, the command line and JSON.
#include <CLI/CLI.hpp>

#include "base/json.h"
#include "model/torch_pch.h"
