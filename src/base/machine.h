#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace treepo {

// What the machine says of itself; an empty text or 0 where it does not.
std::string cpu_name();
std::vector<std::string> cpu_flags();              // "avx2", "avx512f", "amx_bf16", …
int64_t cpu_cores();                               // that this process may use
std::string system_name();                         // "Debian GNU/Linux 12 (bookworm), Linux 6.1.0"
int64_t free_disk_bytes(const std::string& path);  // of the disk that holds it, or its parent
std::vector<std::string> nvidia_gpus();            // names, as the driver lists them

std::vector<std::string> process_arguments();  // of this process, the program first
std::string program_version();                 // of treepo, "0.1.0"
std::string program_folder();                  // that holds the running program

std::string utc_time_now();  // "2026-01-31T09:05:00Z"

}  // namespace treepo
