#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace treepo {

// Says that work of unknown length goes on: after two seconds `label` and the time so far in the
// status line of a terminal, one plain line elsewhere, nothing under --quiet. Ends with the object.
//
//   load model  0:07
class Activity {
 public:
  explicit Activity(std::string label, double first_seconds = 2);
  ~Activity();
  Activity(const Activity&) = delete;
  Activity& operator=(const Activity&) = delete;

 private:
  void show(double first_seconds);

  std::string label_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  std::thread shower_;
};

}  // namespace treepo
