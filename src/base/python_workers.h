#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace treepo {

struct PythonWorkerSettings {
  int64_t workers = 2;
  double timeout_s = 10;   // for each request, without the import of its handler
  int64_t memory_mib = 0;  // address space of each worker; 0: any
  std::string python{};    // interpreter; empty: see base/python_interpreter.h
};

struct PythonReply {
  enum class Status {
    ok,
    error,      // the handler raised, or its result is no JSON
    timed_out,  // its worker was killed
    died,       // its worker ended in the middle: a crash, os._exit, a kill from outside
  };
  Status status = Status::ok;
  Json value{};           // of `ok`
  std::string message{};  // of the others: what happened, with what the worker printed last
  std::string hint{};     // what to do, where it is known (a package that is missing)
};

// A pool of Python processes that are started once and answer requests one at a time. A handler is
// a file python/handler_NAME.py, named as "NAME" or "NAME:ARGUMENT"; each worker imports it at its
// first request. A worker that exceeds its time is killed with its process group; it and one that
// died are replaced at the next request. Replies are those of their requests whatever else happens,
// and come in no other order than the futures are read. All functions may be called by any thread.
class PythonWorkers {
 public:
  // Throws Error where the interpreter can't be run.
  explicit PythonWorkers(PythonWorkerSettings settings);
  ~PythonWorkers();  // kills workers; requests that are not answered yet get `died`
  PythonWorkers(const PythonWorkers&) = delete;
  PythonWorkers& operator=(const PythonWorkers&) = delete;

  // The request waits here until a worker is free; each worker holds one at a time.
  std::future<PythonReply> submit(std::string_view handler, const Json& request);

  // One reply for each request, in order.
  std::vector<PythonReply> call(std::string_view handler, std::span<const Json> requests);

  // Imports the handler in one worker. Throws Error, with the package to install, where that fails.
  void require(std::string_view handler);

  const PythonWorkerSettings& settings() const;

 private:
  class Pool;
  std::unique_ptr<Pool> pool_;
};

}  // namespace treepo
