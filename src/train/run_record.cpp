#include "train/run_record.h"

#include <torch/version.h>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/machine.h"
#include "evaluate/machine_roof.h"  // machine_memory_bytes

namespace treepo {

namespace {

OrderedJson earlier_sessions(const std::string& path) {
  if (!file_system().exists(path)) return OrderedJson::array();
  const OrderedJson record = OrderedJson::parse(read_file(path), nullptr, false);
  const bool readable =
      record.is_object() && record.contains("sessions") && record.at("sessions").is_array();
  return readable ? record.at("sessions") : OrderedJson::array();
}

}  // namespace

void record_session(const RunPaths& paths, const RunOptions& options, int64_t from_step,
                    int64_t threads) {
  OrderedJson sessions = earlier_sessions(paths.record);
  sessions.push_back({{"started", utc_time_now()},
                      {"from_step", from_step},
                      {"command", process_arguments()},
                      {"treepo", program_version()},
                      {"torch", TORCH_VERSION},
                      {"compiler", __VERSION__},
                      {"system", system_name()},
                      {"cpu", cpu_name()},
                      {"cores", cpu_cores()},
                      {"threads", threads},
                      {"memory_bytes", machine_memory_bytes()},
                      {"device", options.model.device},
                      {"gpus", nvidia_gpus()}});
  write_file_atomically(paths.record, OrderedJson{{"sessions", sessions}}.dump(
                                          2, ' ', false, OrderedJson::error_handler_t::replace) +
                                          "\n");
}

}  // namespace treepo
