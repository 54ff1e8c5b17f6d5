#pragma once

// Precompiled for the parts that use neither torch nor OpenMP: what most of their files read, and
// what takes longest to parse.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>
